import { afterAll, beforeAll, describe, expect } from 'vitest';
import { buildProofs } from './converge-build.ts';
import { changeProofs } from './converge-changes.ts';
import { faultProofs } from './converge-faults.ts';
import { speedProofs } from './converge-speed.ts';
import { listOf, startLab, things, until, type Lab, type Scene, type Tool } from './converge.ts';

/** The numbered proofs of what hosts become, with either tool; one after another on the same hosts. */
export function convergeSuite(tool: Tool, missing: string | undefined): void {
  describe.skipIf(missing !== undefined)(`hosts converge with ${tool.name}${missing === undefined ? '' : ` (${missing})`}`, () => {
    let lab: Lab;
    beforeAll(async () => {
      lab = await startLab(tool);
      for (const { id, name } of await listOf<{ id: number; name: string }>(lab.corral, '/api/v1/vms')) scene.ids[name] = id;
    }, 600_000);
    afterAll(() => lab?.stop(), 60_000);

    const scene: Scene = {
      tool,
      ids: {},
      get lab() {
        return lab;
      },
      get hv1() {
        return lab.hv1;
      },
      get hv2() {
        return lab.hv2;
      },
      domain: (name) => `vm-${scene.ids[name]}`,
      converge: async (host) => {
        const run = await tool.apply(host);
        expect(run.failed, run.output).toEqual([]);
        expect(run.ok, run.output).toBe(true);
        return run;
      },
      mends: async (host, ...names) => {
        const run = await scene.converge(host);
        expect(things(run), run.output).toEqual(names.toSorted());
        return run;
      },
      settles: async (host) => {
        const run = await scene.converge(host);
        expect(
          things(run).filter((thing) => thing !== 'document'),
          run.output,
        ).toEqual([]);
        await scene.mends(host);
      },
      status: (host) => lab.corral.call('GET', `/api/v1/nodes/${host.fqdn}`),
      becomes: async (host, status) => {
        const said = async (): Promise<unknown> => (await scene.status(host))['status'];
        await until(`${host.fqdn} is ${status}`, 20, said, (now) => now === status);
      },
      change: (path, body) => lab.corral.call('PATCH', `/api/v1/${path}`, body),
    };
    buildProofs(scene);
    changeProofs(scene);
    faultProofs(scene);
    speedProofs(scene);
  });
}
