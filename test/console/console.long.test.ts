import { beforeAll, describe, expect, it } from 'vitest';
import { evaluate, Incomplete } from '../../src/console/evaluate.ts';
import { testCorral } from '../support/corral.ts';
import { against, corral, scratch, type Ran } from '../cli/support.ts';

const server = await testCorral();
const data = scratch();
const env = { DATABASE_URL: server.databaseUrl, CORRAL_DATA: data };
const session = (input: string, ...args: string[]): Promise<Ran> => corral(['console', ...args], { env, input });

beforeAll(async () => {
  await server.make('site', { name: 'fra1' });
  await server.make('node', { fqdn: 'hv1.example.com', site: 'fra1', roles: { hypervisor: { cores: 64, ram: 2 ** 38, methods: ['KVM'] } } });
});

describe('a session', () => {
  it('reads and writes through the verbs of the API, waiting for each line', async () => {
    const ran = await session(`
const made = await customers.create({name: 'acme'})
made.name
customers.set(made.id, {title: 'Acme'}).then(() => 'set', (problem) => problem.code)
customers.list({name__in: ['acme', 'none']}, {fields: 'name'})
nodes.get('hv1.example.com')
(await customers.put('acme', {})).version >= 1
customers.delete('acme')
customers.count()
for (const name of ['a1', 'a2']) await customers.create({name})
const { length } = await customers.list(
  {}
)
length
`);
    expect(ran.err).toBe('');
    expect(ran.code).toBe(0);
    expect(ran.out).toMatch(/'acme'/);
    expect(ran.out).toMatch(/^NAME\nacme\n\(1 row\)$/m);
    expect(ran.out).toMatch(/^roles\.hypervisor\.ram +256 GiB$/m);
    expect(ran.out).toMatch(/true\n0\n2\n$/);
    expect((await corral(['get', 'customers', '-q'], { env: against(server) })).out).toBe('a1\na2\n');
  });

  it('shows SQL on demand, and reads with it', async () => {
    const { out, err, code } = await session('.sql on\nsites.list()\n.sql off\nsql`select name from site where name = ${"fra1"}`\n');
    expect(code).toBe(0);
    expect(err).toMatch(/select row_to_json/);
    expect(err).not.toContain('read only');
    expect((await session('.sql on\nsites.count()\n', '--sandbox')).err).toMatch(/select count/);
    expect(out).toMatch(/^NAME\nfra1\n\(1 row\)$/m);
  });

  it('lets SQL write nothing', async () => {
    const { err, code } = await session('sql`delete from customer`\n');
    expect(code).toBe(1);
    expect(err).toContain('read-only transaction');
  });

  it('stops a program at its first fault, and says which', async () => {
    const { out, err, code } = await session("sites.get('nix')\n'not reached'\n");
    expect(code).toBe(1);
    expect(err).toMatch(/^not-found: There is no site 'nix'$/m);
    expect(out).not.toContain('not reached');
    expect((await session("sites.create({name: 'X Y'})\n")).err).toMatch(/^ {2}name +must be/m);
    expect((await session('vms.list({\n')).err).toContain('middle of a statement');
  });

  it('runs one expression', async () => {
    expect(await corral(['console', '-e', '6 * 7'], { env })).toMatchObject({ code: 0, out: '42\n', err: '' });
    expect((await corral(['console', '-e', 'nope'], { env })).code).toBe(1);
  });

  it('has help', async () => {
    const { out } = await session('.help\n.noun vms\n.noun vsm\n');
    expect(out).toMatch(/vms\.list\(\{cores__gte: 4/);
    expect(out).toMatch(/^cores +integer +needed +vCPUs\.$/m);
    expect(out).toContain('did you mean vm?');
  });
});

describe('the sandbox', () => {
  it('shows what it does to itself, and leaves no trace', async () => {
    const before = (await corral(['export'], { env })).out;
    const { out, err, code } = await session(
      `const site = await sites.create({name: 'sand'})
await nodes.create({fqdn: 'sand.example.com', site: 'sand', roles: {ceph_mon: {}}}).then(() => 'node', (problem) => problem.code)
sites.create({name: 'sand'}).catch((problem) => problem.code)
sites.set('fra1', {description: 'dust'})
sites.list({}, {fields: 'name', sort: 'name'})
sql\`select count(*)::int as n from site\`
sql\`delete from site\`.catch((error) => 'refused')
sites.count()
`,
      '--sandbox',
    );
    expect(code).toBe(0);
    expect(out).toMatch(/'already-exists'/);
    expect(out).toMatch(/^NAME\nfra1\nsand\n\(2 rows\)$/m);
    expect(out).toMatch(/^N\n2\n\(1 row\)$/m);
    expect(out).toMatch(/'refused'\n2\n$/);
    expect(err).toContain('Sandbox: all was rolled back.');
    expect((await corral(['export'], { env })).out).toBe(before);
  });

  it('keeps the rules that are checked at commit', async () => {
    const { out } = await session(
      "nodes.create({fqdn: 'bare.example.com', site: 'fra1', roles: {}}).catch((problem) => problem.code)\nnodes.count()\n",
      '--sandbox',
    );
    expect(out).toMatch(/'conflict'\n1\n$/);
  });

  it('rolls back after a fault too', async () => {
    const { code } = await session("sites.create({name: 'gone'})\nnope\n", '--sandbox');
    expect(code).toBe(1);
    expect((await corral(['get', 'site', 'gone'], { env: against(server) })).code).toBe(3);
  });
});

describe('lines', () => {
  it.each<[string, unknown]>([
    ['1 + 1', 2],
    ['await Promise.resolve(3)', 3],
    ['Promise.resolve(4);', 4],
    ['{a: 1}', { a: 1 }],
    ['let evaluated = await Promise.resolve(5)', undefined],
    ['evaluated + 1', 6],
    ['', undefined],
  ])('%s', async (code, value) => {
    expect(await evaluate(code)).toEqual(value);
  });

  it.each(['vms.list({', 'for (const x of await y) {', '`open', 'f(1', '[1,'])('%s is to be continued', async (code) => {
    await expect(evaluate(code)).rejects.toThrow(Incomplete);
  });

  it.each(['1 +* 2', 'await )', 'const = 4'])('%s is wrong', async (code) => {
    await expect(evaluate(code)).rejects.toThrow(SyntaxError);
  });
});
