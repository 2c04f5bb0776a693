import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { factsOfFacter, readHeartbeat } from '../../src/reports/heartbeat.ts';
import { readPuppet } from '../../src/reports/puppet.ts';
import { readWireReport } from '../../src/reports/puppetdb.ts';
import type { Run } from '../../src/reports/run.ts';
import { outcomeOf } from '../../src/reports/run.store.ts';
import { readSalt } from '../../src/reports/salt.ts';
import { parseRubyYaml } from '../../src/reports/yaml.ts';
import { Problem } from '../../src/kernel/problem.ts';

/* Written by Puppet 7.23 and Salt themselves; see fixtures/reports/README.md. */
const file = (name: string): string => readFileSync(new URL(`../../fixtures/reports/${name}`, import.meta.url), 'utf8');
const puppet = (name: string): Run => readPuppet(parseRubyYaml(file(`puppet-${name}.yaml`)));
const wire = (name: string): Run => readWireReport(JSON.parse(file(`puppetdb-${name}.json`)));
const salt = (name: string): Run => readSalt(JSON.parse(file(`salt-${name}.json`)), new Date());
const brief = (run: Run) => ({ outcome: outcomeOf(run, null), served: run.served, applied: run.applied, counts: run.counts, complete: run.complete });
const V41 = '41-9f2c0a1b2c3d4e5f';
const V42 = '42-1111222233334444';

describe("Puppet's own reports", () => {
  test.each([
    ['changed', { outcome: 'changed', served: V41, applied: V41, counts: { total: 14, changed: 7, failed: 0, skipped: 0, noop: 0 }, complete: true }],
    ['unchanged', { outcome: 'changed', served: V41, applied: V41, counts: { total: 14, changed: 1, failed: 0, skipped: 0, noop: 0 }, complete: true }],
    ['noop', { outcome: 'pending', served: V41, applied: null, counts: { total: 14, changed: 0, failed: 0, skipped: 0, noop: 2 }, complete: true }],
    ['drift', { outcome: 'changed', served: V41, applied: V41, counts: { total: 14, changed: 2, failed: 0, skipped: 0, noop: 0 }, complete: true }],
    ['failed', { outcome: 'failed', served: V42, applied: null, counts: { total: 14, changed: 1, failed: 1, skipped: 2, noop: 0 }, complete: true }],
    ['compile', { outcome: 'compile_failed', served: null, applied: null, counts: { total: 0, changed: 0, failed: 0, skipped: 0, noop: 0 }, complete: false }],
  ])('%s', (name, expected) => {
    expect(brief(puppet(name))).toEqual(expected);
  });

  test('a change under a version that was confirmed before is drift', () => {
    expect([outcomeOf(puppet('drift'), V41), outcomeOf(puppet('changed'), '40-0000000000000000')]).toEqual(['drift_corrected', 'changed']);
  });

  test('say of each thing how it went, why it failed, and what waits for a restart', () => {
    const failed = puppet('failed');
    expect(failed.message).toBe("Corral_domain[vm-7]: change from 'off' to 'running' failed: qemu: no such machine type: pc-q35-99");
    expect(Object.fromEntries(failed.things.map((one) => [`${one.kind} ${one.name}`, one.result]))).toEqual({
      'bridge br-7-0': 'ok',
      'volume vol-7': 'ok',
      'domain vm-7': 'failed',
      'domain vm-8': 'skipped',
      [`document ${V42}`]: 'skipped',
    });
    expect(puppet('changed').things.find((one) => one.name === 'vm-8')!.pending).toEqual([
      { property: 'vcpus_max', current: '4', wanted: '8', reason: 'vCPUs beyond the maximum' },
    ]);
    expect(failed.entries[0]).toMatchObject({
      type: 'Corral_domain',
      title: 'vm-7',
      result: 'failed',
      changes: [{ property: 'state', before: 'off', after: 'running' }],
    });
  });

  test('are the same as JSON, and over the wire of PuppetDB', () => {
    const fromJson = readPuppet(JSON.parse(file('puppet-failed.json')));
    expect(fromJson).toEqual(puppet('failed'));
    const { complete, entries, things, counts } = wire('failed');
    expect(complete).toBe(false);
    expect([entries, counts]).toEqual([fromJson.entries, fromJson.counts]);
    expect(things.map((one) => one.name)).toEqual(['vm-7', 'vm-8', V42]);
  });

  test('over the wire of PuppetDB without unchanged resources name no version when nothing changed', () => {
    expect(brief(wire('unchanged'))).toMatchObject({ served: null, applied: null, complete: false });
    expect(brief(wire('changed'))).toMatchObject({ outcome: 'changed', served: V41, applied: V41, complete: false });
  });

  test('of a run on an old catalog after a failed compile are failures to compile', () => {
    const data = { ...(JSON.parse(file('puppet-failed.json')) as object), status: 'unchanged', cached_catalog_status: 'on_failure' };
    expect(outcomeOf(readPuppet(data), null)).toBe('compile_failed');
  });

  test('keep what Puppet redacted redacted', () => {
    const text = JSON.stringify(puppet('changed'));
    expect([text.includes('hunter2'), text.includes('[redacted]')]).toEqual([false, true]);
  });
});

describe("Salt's own returns", () => {
  test.each([
    ['changed', { outcome: 'changed', served: V41, applied: V41, counts: { total: 5, changed: 5, failed: 0, skipped: 0, noop: 0 }, complete: true }],
    ['unchanged', { outcome: 'converged', served: V41, applied: V41, counts: { total: 5, changed: 0, failed: 0, skipped: 0, noop: 0 }, complete: true }],
    ['test', { outcome: 'pending', served: V41, applied: null, counts: { total: 5, changed: 0, failed: 0, skipped: 0, noop: 1 }, complete: true }],
    ['drift', { outcome: 'changed', served: V41, applied: V41, counts: { total: 5, changed: 1, failed: 0, skipped: 0, noop: 0 }, complete: true }],
    ['failed', { outcome: 'failed', served: V42, applied: null, counts: { total: 5, changed: 0, failed: 1, skipped: 1, noop: 0 }, complete: true }],
    ['broken', { outcome: 'compile_failed', served: null, applied: null, counts: { total: 0, changed: 0, failed: 0, skipped: 0, noop: 0 }, complete: false }],
    ['notop', { outcome: 'compile_failed', served: null, applied: null, counts: { total: 0, changed: 0, failed: 0, skipped: 0, noop: 0 }, complete: false }],
  ])('%s', (name, expected) => {
    expect(brief(salt(name))).toEqual(expected);
  });

  test('carry what waits for a restart', () => {
    const thing = salt('unchanged').things.find((one) => one.name === 'vm-8')!;
    expect(thing).toEqual({
      kind: 'domain',
      name: 'vm-8',
      result: 'ok',
      error: null,
      pending: [{ property: 'vcpus_max', current: '4', wanted: '8', reason: 'needs a restart' }],
    });
  });

  test('begin when their jid says', () => {
    expect(salt('changed').began_at.toISOString()).toMatch(/^2026-11-21T04:22:05\.024Z$/);
  });
});

const faults = (read: () => unknown): unknown => {
  try {
    read();
    return 'read';
  } catch (error) {
    return error instanceof Problem ? [error.code, error.faults.map((one) => one.pointer)] : error;
  }
};

const GOOD = { host: 'hv1', time: '2026-11-21T04:00:00Z', status: 'unchanged', resource_statuses: {} };

test.each([
  [{}, ['/host', '/time', '/status', '/resource_statuses']],
  [[], ['']],
  [null, ['']],
  ['text', ['']],
  [{ ...GOOD, host: '' }, ['/host']],
  [{ ...GOOD, host: 'x'.repeat(301) }, ['/host']],
  [{ ...GOOD, time: 'yesterday' }, ['/time']],
  [{ ...GOOD, status: 'fine' }, ['/status']],
  [{ ...GOOD, resource_statuses: [] }, ['/resource_statuses']],
  [{ ...GOOD, resource_statuses: { 'File[/x]': { events: 'no' } } }, ['/resource_statuses/File[~1x]/resource_type', '/resource_statuses/File[~1x]/events']],
  [{ ...GOOD, logs: [{ level: 1 }] }, ['/logs/0/level']],
])('a report that is none is refused with the places: %j', (input, pointers) => {
  expect(faults(() => readPuppet(input))).toEqual(['invalid', pointers]);
});

test.each([
  [{ id: 'hv1', jid: '1', fun: 'test.ping', return: true }, ['/fun', '/return']],
  [{ id: 'hv1', jid: '1', fun: 'state.apply', return: { a: { result: 'yes' } } }, ['/return']],
  [{ id: 'hv1', fun: 'state.apply', return: [] }, ['/jid']],
])('a job return that is none is refused with the places: %j', (input, pointers) => {
  expect(faults(() => readSalt(input, new Date()))).toEqual(['invalid', pointers]);
});

test.each([
  [{}, ['/node']],
  [{ node: 'hv1', uptime: -1 }, ['/uptime']],
  [{ node: 'hv1', document: '41' }, ['/document']],
  [{ node: 'hv1', memory: { total: 1 } }, ['/memory/free']],
  [{ node: 'hv1', domains: { a: {} } }, ['/domains/a/state']],
  [{ node: 'hv1', observation: { things: { domain: [] } } }, ['/observation/things/domain']],
])('a heartbeat that is none is refused with the places: %j', (input, pointers) => {
  expect(faults(() => readHeartbeat(input, new Date()))).toEqual(['invalid', pointers]);
});

test('YAML that is none is refused with its line, and aliases do not multiply', () => {
  expect(() => parseRubyYaml('--- !ruby/object:Puppet::Transaction::Report\nhost: hv1\n  bad: [\n')).toThrow(/YAML body cannot be parsed at line \d/);
  const laughs = [
    'a0: &a0 [x,x,x,x,x,x,x,x,x]',
    ...Array.from({ length: 12 }, (_, i) => `a${i + 1}: &a${i + 1} [${Array.from({ length: 9 }, () => `*a${i}`).join(',')}]`),
  ];
  expect(() => parseRubyYaml(`${'['.repeat(20_000)}`)).toThrow(/cannot be parsed/);
  expect(faults(() => readPuppet({ ...GOOD, ...(parseRubyYaml(laughs.join('\n')) as object) }))).toBe('read');
});

test('texts are bounded and made safe for the database', () => {
  const run = readPuppet({
    ...GOOD,
    status: 'failed',
    logs: [{ level: 'err', message: `\0\ud800${'x'.repeat(10_000)}`, source: 'Puppet' }],
    resource_statuses: Object.fromEntries(
      Array.from({ length: 2000 }, (_, i) => [
        `Exec[${i}]`,
        {
          resource_type: 'Exec',
          title: `${i}`,
          failed: i === 1999,
          changed: true,
          events: [{ status: 'success', property: 'returns', message: 'y'.repeat(5000) }],
        },
      ]),
    ),
  });
  expect([run.entries.length, run.entries[0]!.title, run.entries[0]!.changes[0]!.message!.length]).toEqual([500, '1999', 500]);
  expect(run.logs[0]!.message).toMatch(/^\ufffd\ufffdx+…$/);
  expect(run.logs[0]!.message).toHaveLength(2000);
});

test("Facter's facts give the host's", () => {
  const facts = {
    processors: { count: 8, models: ['AMD EPYC'] },
    memory: { system: { total_bytes: 1024 } },
    os: { name: 'Debian', release: { full: '12.8' } },
    kernelrelease: '6.1.0',
    puppetversion: '7.23.0',
    disks: { sda: { size_bytes: 5, model: 'X', type: 'ssd' } },
  };
  expect(factsOfFacter(facts)).toEqual({
    cores: 8,
    memory: 1024,
    cpu_model: 'AMD EPYC',
    os: 'Debian 12.8',
    kernel: '6.1.0',
    puppet: '7.23.0',
    disks: [{ name: 'sda', size: 5, rotational: false, model: 'X' }],
  });
  expect(factsOfFacter({})).toMatchObject({ cores: null, memory: null, os: null });
});
