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

test('a plan of many hosts and documents is shown in short, and in full with --diff', async () => {
  await corral.make('site', { name: 'wide' });
  const others = Array.from({ length: 25 }, (_, i) => `w${String(i).padStart(2, '0')}.example.com`);
  for (const fqdn of others) await corral.make('node', { fqdn, site: 'wide', roles: { hypervisor: { methods: ['KVM'], cores: 64, ram: 2 ** 38 } } });
  const words = [
    'create',
    'layer',
    'name=wide',
    'scope=site',
    'site=wide',
    `data=${JSON.stringify({ lines: Array.from({ length: 90 }, (_, i) => `line ${i}`) })}`,
  ];
  const short = await run([...words, '--plan'], { env });
  expect([short.code, short.err]).toEqual([0, '']);
  expect(short.out.match(/^--- /gm)).toHaveLength(2);
  expect(short.out).toMatch(new RegExp(`^${others[0]!} \\(puppet\\) {2}at once: .*lines`, 'm'));
  expect(short.out).toMatch(/^… and 5 more hosts$/m);
  expect(short.out).toMatch(/^… and 23 more documents that change$/m);
  expect(short.out.match(/^… and \d+ more lines$/gm)).toHaveLength(2);
  expect(short.out).toMatch(/--diff shows all of it\.\n\n25 of 25 hosts act\. Plan sha256:[0-9a-f]{64}\n$/);
  expect(short.out.split('\n').length).toBeLessThan(90);
  const full = await run([...words, '--diff'], { env });
  expect(full.out.match(/^--- /gm)).toHaveLength(25);
  expect(full.out.match(/^\+ +- "?line 89/gm)).toHaveLength(25);
  expect(full.out).not.toContain('… and');
  for (const host of others) expect(full.out).toContain(`${host} (puppet)\n`);
  expect((await corral.pool.query('select from layer')).rowCount).toBe(0);
});
