/** Nodes with certificates of a real Puppet CA: puppetserver's own, which signs, revokes, and writes its lists. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createThing } from '../../src/db/write.ts';
import { loadConfig } from '../../src/kernel/config.ts';
import { serve, type Running } from '../../src/serve.ts';
import { run } from './puppet-client.ts';
import { Puppetserver, whyNoPuppetserver } from './puppet-rig.ts';

const reason = whyNoPuppetserver();
if (reason) console.warn(`puppet-ca: skipped: ${reason}`);

const exec = promisify(execFile);
const CORRAL = 'corral.example.net';
const [HV1, HV2] = ['hv1.fra1.example.com', 'hv2.fra1.example.com'];

describe.skipIf(reason)('a Puppet CA', () => {
  const data = mkdtempSync(join(tmpdir(), 'corral-ca-e2e-'));
  let puppet: Puppetserver;
  let running: Running;

  /** Has the CA sign a certificate, as a host does at its first run. */
  const bootstrap = async (certname: string): Promise<void> => {
    const home = puppet.home(certname);
    const settings = {
      certname,
      server: '127.0.0.1',
      serverport: String(puppet.port),
      confdir: join(home, 'conf'),
      vardir: join(home, 'var'),
      ssldir: join(home, 'ssl'),
    };
    const ran = await run('puppet', ['ssl', 'bootstrap', ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])]);
    expect(ran.status, ran.output).toBe(0);
  };
  const file = (certname: string, ...names: string[]): string => join(puppet.home(certname), 'ssl', ...names);
  /** Asks Corral with a host's certificate, as a tool on that host would. */
  const curl = async (certname: string, path: string, ...more: string[]): Promise<{ status: number; body: string }> => {
    const { port } = new URL(running.url);
    const mine = ['--cert', file(certname, `certs/${certname}.pem`), '--key', file(certname, `private_keys/${certname}.pem`)];
    const there = ['--cacert', file(certname, 'certs/ca.pem'), '--resolve', `${CORRAL}:${port}:127.0.0.1`];
    const url = `https://${CORRAL}:${port}${path}`;
    const { stdout: out } = await exec('curl', ['-sS', '-w', '\n%{http_code}', '-H', 'Accept: application/json', ...there, ...mine, ...more, url]);
    const at = out.lastIndexOf('\n');
    return { status: Number(out.slice(at + 1)), body: out.slice(0, at) };
  };

  beforeAll(async () => {
    puppet = await Puppetserver.start();
    for (const certname of [CORRAL, HV1, HV2]) await bootstrap(certname);
    /* The files of a machine with a Puppet agent, and the CA's own list: nothing is copied. */
    const { config } = loadConfig({
      CORRAL_DATA: data,
      CORRAL_DEMO: '0',
      CORRAL_LOG_LEVEL: 'warn',
      PORT: '0',
      CORRAL_TLS_CERT: file(CORRAL, `certs/${CORRAL}.pem`),
      CORRAL_TLS_KEY: file(CORRAL, `private_keys/${CORRAL}.pem`),
      CORRAL_TLS_CLIENT_CA: file(CORRAL, 'certs/ca.pem'),
      CORRAL_TLS_CRL: join(puppet.folder, 'ssl/ca/ca_crl.pem'),
    });
    running = await serve(config);
    const { store, catalog } = running.corral;
    const make = (noun: string, input: object): Promise<unknown> => createThing(store, catalog.byNoun(noun), input);
    await make('site', { name: 'fra1' });
    for (const fqdn of [HV1, HV2]) await make('node', { fqdn, site: 'fra1', roles: { hypervisor: { methods: ['KVM'], cores: 4, ram: 2 ** 34 } } });
  }, 400_000);

  afterAll(async () => {
    await running?.stop();
    await puppet?.stop();
    rmSync(data, { recursive: true, force: true });
  }, 60_000);

  it('lets a node read its own document and report for itself, and nothing else', async () => {
    const own = await curl(HV1, `/documents/${HV1}`);
    expect([own.status, (JSON.parse(own.body) as { node: string }).node]).toEqual([200, HV1]);
    expect((await curl(HV2, `/enc/${HV1}`)).status).toBe(403);
    const wire = ['-X', 'POST', '-H', 'Content-Type: application/json', '-d', JSON.stringify({ certname: HV1, values: { kernel: 'Linux' } })];
    expect((await curl(HV1, `/pdb/cmd/v1?command=replace_facts&version=5&certname=${HV1}`, ...wire)).status).toBe(200);
    expect((await curl(HV2, `/pdb/cmd/v1?command=replace_facts&version=5&certname=${HV1}`, ...wire)).status).toBe(403);
    expect((await curl(HV1, '/api/v1/nodes')).status).toBe(403);
    /* A certificate of the CA that is no node's. */
    expect((await curl(CORRAL, `/enc/${CORRAL}`)).status).toBe(404);
  });

  it('puts a node out when it revokes its certificate', async () => {
    const config = join(puppet.folder, 'conf/revoke.conf');
    const settings = readFileSync(join(puppet.folder, 'conf/puppet.conf'), 'utf8').replace('[main]', `[main]\nserver = localhost\nserverport = ${puppet.port}`);
    writeFileSync(config, settings);
    await exec('puppetserver', ['ca', 'revoke', '--certname', HV1, '--config', config]);
    let answer = await curl(HV1, `/enc/${HV1}`);
    for (let i = 0; i < 40 && answer.status === 200; i++) {
      await sleep(250);
      answer = await curl(HV1, `/enc/${HV1}`);
    }
    expect([answer.status, JSON.parse(answer.body)]).toMatchObject([401, { code: 'bad-certificate', detail: 'The client certificate was revoked' }]);
    expect((await curl(HV2, `/enc/${HV2}`)).status).toBe(200);
  });
});
