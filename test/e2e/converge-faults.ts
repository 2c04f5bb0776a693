/** Proofs 7 and 8: bad documents change nothing, and what goes away comes back. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { domains, listOf, stateOf, things, until, type Scene } from './converge.ts';

export function faultProofs(scene: Scene): void {
  describe('7. a bad document changes nothing', () => {
    type Mapping = Record<string, unknown>;
    /** The domains of whatever kind of document this is. */
    const domainsOf = (document: Mapping): Mapping | undefined => {
      const hiera = document['hiera'] as Mapping | undefined;
      const corral = ((document['pillar'] as Mapping | undefined) ?? document)['corral'] as Mapping | undefined;
      return (hiera?.['corral::hypervisor::domains'] ?? (corral?.['hypervisor'] as Mapping | undefined)?.['domains']) as Mapping | undefined;
    };
    const bad: Record<string, (document: Mapping) => unknown> = {
      'invalid XML': (document) => {
        const web = domainsOf(document)?.[scene.domain('web')] as Mapping | undefined;
        if (web) web['xml'] = '<domain type="qemu"><name>broken';
        return document;
      },
      'XML of something else': (document) => {
        const web = domainsOf(document)?.[scene.domain('web')] as Mapping | undefined;
        if (web) web['xml'] = String(web['xml']).replace(/<uuid>[^<]*/, '<uuid>00000000-0000-4000-8000-000000000000');
        return document;
      },
      'a wrong type': (document) => {
        const all = domainsOf(document);
        if (all) all[scene.domain('web')] = ['present'];
        return document;
      },
      'an unknown ensure': (document) => {
        const web = domainsOf(document)?.[scene.domain('web')] as Mapping | undefined;
        if (web) web['ensure'] = 'gone';
        return document;
      },
      "another node's document": (document) => JSON.parse(JSON.stringify(document).replaceAll('hv1.example.net', 'hv9.example.net')),
      'not a mapping': () => [],
      'an empty one': () => ({}),
    };
    it.each(Object.keys(bad))('%s', async (name) => {
      // Something that a run would mend, if it did anything.
      scene.hv1.sh(`ip link set br-${scene.ids['web']}-0 mtu 1300`);
      const before = stateOf(scene.hv1);
      scene.tool.cache('clear');
      scene.lab.proxy.spoil = bad[name];
      try {
        const run = await scene.tool.apply(scene.hv1);
        expect(run.ok, run.output).toBe(false);
        expect(run.changed, run.output).toEqual([]);
      } finally {
        scene.lab.proxy.spoil = undefined;
        scene.tool.cache('clear');
      }
      expect(stateOf(scene.hv1)).toBe(before);
    });
    it('half the domains missing, without tombstones: they stay', async () => {
      scene.lab.proxy.spoil = (document) => {
        const all = domainsOf(document);
        if (all) delete all[scene.domain('web')];
        return document;
      };
      try {
        await scene.tool.apply(scene.hv1);
      } finally {
        scene.lab.proxy.spoil = undefined;
        scene.tool.cache('clear');
      }
      expect(domains(scene.hv1)[scene.domain('web')]).toBe('running');
      await scene.converge(scene.hv1);
    });
  });

  describe('8. survives what goes away', () => {
    it('the API is down for the whole run: the last good document is applied, and the report comes later', async () => {
      await scene.converge(scene.hv1);
      scene.hv1.sh(`ip link set br-${scene.ids['web']}-0 mtu 1300`);
      await scene.lab.proxy.close();
      try {
        const run = await scene.tool.apply(scene.hv1);
        expect(run.ok, run.output).toBe(true);
        expect(things(run), run.output).toEqual([`bridge br-${scene.ids['web']}-0`]);
      } finally {
        await scene.lab.proxy.open();
      }
      await scene.mends(scene.hv1);
      await until(
        'the report that waited',
        20,
        () => listOf<{ outcome: string }>(scene.lab.corral, `/api/v1/reports?node=${scene.hv1.fqdn}&limit=2`),
        (reports) => reports.some(({ outcome }) => outcome === 'drift_corrected'),
      );
    });

    it('PostgreSQL does not answer: the same', async () => {
      const postmaster = readFileSync(join(scene.lab.corral.data, 'postgres/postmaster.pid'), 'utf8').split('\n')[0]!;
      const signal = (name: string): void => void spawnSync('sh', ['-c', `kill -${name} ${postmaster} $(pgrep -P ${postmaster})`]);
      scene.hv1.sh(`ip link set br-${scene.ids['web']}-0 mtu 1300`);
      signal('STOP');
      try {
        const run = await scene.tool.apply(scene.hv1);
        expect(run.ok, run.output).toBe(true);
        expect(things(run), run.output).toEqual([`bridge br-${scene.ids['web']}-0`]);
      } finally {
        signal('CONT');
      }
      await until(
        'PostgreSQL answers',
        30,
        () => scene.status(scene.hv1),
        (node) => node['fqdn'] === scene.hv1.fqdn,
      );
      await scene.mends(scene.hv1);
    });

    it('a disk that is full of something else: the run goes on without a copy', async () => {
      scene.tool.cache('full');
      try {
        await scene.mends(scene.hv1);
      } finally {
        scene.tool.cache('normal');
      }
    });

    it('the agent is killed half-way, and the next run finishes', async () => {
      for (const killAfter of [1500, 3000, 4500]) {
        scene.hv1.sh(
          `virsh -q destroy ${scene.domain('web')}; virsh -q undefine ${scene.domain('web')} --nvram || true; ip link del br-${scene.ids['web']}-0; ip link del br-${scene.ids['idle']}-0`,
        );
        // oxlint-disable-next-line no-await-in-loop
        await scene.tool.apply(scene.hv1, { killAfter });
        // oxlint-disable-next-line no-await-in-loop
        await scene.converge(scene.hv1);
        expect(domains(scene.hv1)).toMatchObject({ [scene.domain('web')]: 'running', [scene.domain('idle')]: 'paused' });
        // oxlint-disable-next-line no-await-in-loop
        await scene.mends(scene.hv1);
      }
    });

    it('says what would change with noop, and changes nothing', async () => {
      scene.hv1.sh(`ip link set br-${scene.ids['web']}-0 mtu 1300; virsh -q resume ${scene.domain('idle')}`);
      const before = stateOf(scene.hv1);
      const run = await scene.tool.apply(scene.hv1, { noop: true });
      expect(things(run), run.output).toEqual([`bridge br-${scene.ids['web']}-0`, `domain ${scene.domain('idle')}`].toSorted());
      expect(stateOf(scene.hv1)).toBe(before);
      await scene.becomes(scene.hv1, 'pending');
      await scene.converge(scene.hv1);
    });
  });
}
