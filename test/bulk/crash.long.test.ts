import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { builtProgram } from '../support/process.ts';
import { expectConsistent, GIB, hypervisors } from '../modules/fleet.ts';

const MANY = 400;
const ROUNDS = 6;
const env = { CORRAL_ENCRYPTION_KEY: randomBytes(32).toString('base64') };
const corral = await testCorral(env);
const start = await builtProgram();

const count = async (sql: string, value: string): Promise<number> => Number((await corral.pool.query<{ n: string }>(sql, [value])).rows[0]!.n);

test('a server that is killed in the middle of a bulk leaves all of it, with its key, or nothing; sent again it is there once', async () => {
  await hypervisors(corral, 10, { cores: 4096, ram: 8192 * GIB }, { subnet: '10.0.0.0/16' });
  /* One of the length that is to be cut, to know how long it takes. */
  const operations = (round: string): unknown[] =>
    Array.from({ length: MANY }, () => ({
      op: 'create',
      noun: 'vm',
      body: { method: 'KVM', cores: 1, ram: GIB, volumes: [{ size: GIB }], affinity_group: round },
    }));
  const send = async (request: typeof corral.request, round: string): Promise<{ status: number; text: string }> => {
    const answer = await request('/bulk', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'Idempotency-Key': round },
      body: JSON.stringify({ operations: [...operations(round), { op: 'create', noun: 'token', body: { name: round, kind: 'reader' } }] }),
    });
    return { status: answer.status, text: await answer.text() };
  };
  const begun = performance.now();
  expect((await send(corral.request, 'measured')).status).toBe(200);
  const whole = performance.now() - begun;
  let all = 0;
  let none = 0;
  for (let i = 0; i < ROUNDS; i++) {
    const round = `round-${i}`;
    const process = await start(corral.databaseUrl, env);
    const sent = send(process.request, round).catch(() => undefined);
    /* The first before it can be done, the last after it, the others somewhere between. */
    if (i === ROUNDS - 1) await sent;
    else await new Promise((resolve) => setTimeout(resolve, (1.2 * whole * i) / (ROUNDS - 2)));
    await process.kill();
    const answered = await sent;
    /* The database may be finishing what the process sent last. */
    await expect
      .poll(
        async () =>
          count(
            `select count(*) as n from pg_stat_activity where datname = current_database() and state <> 'idle' and pid <> pg_backend_pid() and $1 <> ''`,
            round,
          ),
        { timeout: 20_000 },
      )
      .toBe(0);
    const vms = await count('select count(*) as n from vm where affinity_group = $1', round);
    const keys = await count('select count(*) as n from idempotency_key where key = $1', round);
    expect([round, vms, keys]).toEqual([round, keys * MANY, keys]);
    if (answered) expect(keys).toBe(1);
    if (keys === 1) all++;
    else none++;
    const again = await send(corral.request, round);
    expect(again.status).toBe(200);
    if (answered) expect(again.text).toBe(answered.text);
    expect(await count('select count(*) as n from vm where affinity_group = $1', round)).toBe(MANY);
    expect((await send(corral.request, round)).text).toBe(again.text);
  }
  expect([all > 0, none > 0]).toEqual([true, true]);
  await expectConsistent(corral);
}, 240_000);
