import { expect, test } from 'vitest';
import { hypervisors } from '../modules/fleet.ts';
import { testCorral } from '../support/corral.ts';
import { against, corral as run } from './support.ts';

const corral = await testCorral();
const [host] = (await hypervisors(corral, 1)) as [string];
const env = against(corral);
const sites = async (): Promise<number> => Number((await corral.pool.query<{ n: string }>('select count(*) as n from site')).rows[0]!.n);

test('--plan prints what would be done, on hosts too, and does nothing', async () => {
  const { code, out, err } = await run(['create', 'vm', 'name=web', 'cores=2', 'ram=1GiB', 'method=KVM', '--plan'], { env });
  expect([code, err]).toEqual([0, '']);
  expect(out).toMatch(/^\+ vm web \(/m);
  expect(out).toMatch(/^ {4}cores: 2$/m);
  expect(out).toContain(`${host} (puppet)\n`);
  expect(out).toMatch(/at once {12}define and start vm-1 \(web\)/);
  expect(out).toMatch(/^@@ -1,4 [+]1,[0-9]+ @@$/m);
  expect(out).toMatch(/^1 of 1 hosts act\. Plan sha256:[0-9a-f]{64}\n$/m);
  // oxlint-disable-next-line no-control-regex
  expect(out).not.toMatch(/\u001b/);
  expect((await corral.pool.query('select from vm')).rowCount).toBe(0);
});

test('set and delete are planned too, in every form', async () => {
  const { id } = (await corral.make('vm', { name: 'web', cores: 2, cores_max: 8, ram: 2 ** 30, method: 'KVM' })) as { id: number };
  const set = await run(['set', 'vm', String(id), 'cores=4', 'machine=pc', '--plan'], { env });
  expect(set.out).toContain('    cores: 2 -> 4\n');
  expect(set.out).toContain(`at once            plug 2 vCPUs into vm-${id} (web)`);
  expect(set.out).toContain(`at the next start  vm-${id} (web): another machine`);
  const gone = await run(['delete', 'vm', String(id), '--plan'], { env });
  expect([gone.code, gone.out]).toEqual([0, expect.stringMatching(/^- vm web \(/m)]);
  const json = JSON.parse((await run(['delete', 'vm', String(id), '--plan', '-o', 'json'], { env })).out) as { status: number; plan: { digest: string } };
  expect(json.status).toBe(204);
  expect((await run(['delete', 'vm', String(id), '--plan', '-q'], { env })).out).toBe(`${json.plan.digest}\n`);
  expect((await corral.pool.query('select from vm')).rowCount).toBe(1);
});

test('--if-plan does what was planned, and nothing else', async () => {
  const digest = (await run(['create', 'site', 'name=fra2', '--plan', '-q'], { env })).out.trim();
  expect((await run(['create', 'site', 'name=fra2', '--if-plan', digest, '-m', 'Für den Umbau'], { env })).code).toBe(0);
  expect((await corral.pool.query('select message, actor from change order by number desc limit 1')).rows).toEqual([
    { message: 'Für den Umbau', actor: 'admin' },
  ]);
  const before = await sites();
  const other = await run(['create', 'site', 'name=fra3', '--if-plan', digest], { env });
  expect([other.code, other.err]).toEqual([expect.any(Number), expect.stringMatching(/plan-changed[^]*\+ site fra3[^]*Plan sha256:/)]);
  expect(other.code).not.toBe(0);
  expect(await sites()).toBe(before);
});

test('what would be refused is refused, with the same code', async () => {
  const dry = await run(['create', 'site', 'name=fra1', '--plan'], { env });
  const real = await run(['create', 'site', 'name=fra1'], { env });
  expect(real.code).not.toBe(0);
  expect(dry).toEqual(real);
});
