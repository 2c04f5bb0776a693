import { randomBytes } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { builtProgram, type Process } from '../support/process.ts';
import { call, expectConsistent, GIB, hypervisors } from '../modules/fleet.ts';

const env = { CORRAL_ENCRYPTION_KEY: randomBytes(32).toString('base64') };
const corral = await testCorral(env);
const program = await builtProgram();
/** Starts a server process on the database of this file. */
const start = (): Promise<Process> => program(corral.databaseUrl, { ...env, CORRAL_LOG_LEVEL: 'silent' });

beforeAll(() => hypervisors(corral, 4));

/** Creates, changes and deletes until the server answers no more. @returns the ids that were acknowledged as made and as deleted, and those whose deletion was asked for */
async function writeUntilItDies(request: typeof corral.request, enough: () => void): Promise<{ made: Set<number>; asked: Set<number>; deleted: Set<number> }> {
  const made = new Set<number>();
  const asked = new Set<number>();
  const deleted = new Set<number>();
  const worker = async (): Promise<void> => {
    for (let i = 0; ; i++) {
      const { status, body } = await call({ request }, 'POST', '/api/v1/vms', { method: 'KVM', cores: 1, cores_max: 4, ram: GIB, volumes: [{ size: GIB }] });
      if (status !== 201) continue;
      const id = Number(body['id']);
      made.add(id);
      if (made.size === 25) enough();
      if (i % 3 === 1) await call({ request }, 'PATCH', `/api/v1/vms/${id}`, { cores: 2 });
      if (i % 3 !== 2) continue;
      asked.add(id);
      if ((await call({ request }, 'DELETE', `/api/v1/vms/${id}`)).status === 204) deleted.add(id);
    }
  };
  await Promise.allSettled(Array.from({ length: 8 }, worker));
  return { made, asked, deleted };
}

test('a server that is killed in the middle of writes loses nothing that it acknowledged, and leaves nothing half-written', async () => {
  for (let round = 0; round < 2; round++) {
    const { child, request } = await start();
    const { made, asked, deleted } = await writeUntilItDies(request, () => child.kill('SIGKILL'));
    expect(made.size).toBeGreaterThanOrEqual(25);
    const { rows } = await corral.pool.query<{ id: string }>('select id from vm');
    const there = new Set(rows.map((row) => Number(row.id)));
    expect([...made].filter((id) => !asked.has(id) && !there.has(id))).toEqual([]);
    expect([...deleted].filter((id) => there.has(id))).toEqual([]);
    await expectConsistent(corral);
  }
});

test('a server that is asked to stop finishes what it has begun, and ends well', async () => {
  const { child, request } = await start();
  const ended = new Promise<number | null>((resolve) => void child.once('exit', resolve));
  const { made, deleted } = await writeUntilItDies(request, () => child.kill('SIGTERM'));
  expect(await ended).toBe(0);
  const { rows } = await corral.pool.query<{ id: string }>('select id from vm');
  const there = new Set(rows.map((row) => Number(row.id)));
  expect([...made].filter((id) => !deleted.has(id) && !there.has(id))).toEqual([]);
  await expectConsistent(corral);
});
