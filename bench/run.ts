// npm run bench: measures on this machine, in one run, side by side; prints a table and writes bench.json.
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { attachEmbedded } from '../src/db/embedded.ts';
import { openCorral, type Corral } from '../src/corral.ts';
import { generateFleet } from '../src/fleet/generate.ts';
import { loadConfig } from '../src/kernel/config.ts';
import { hashToken, newToken } from '../src/modules/control/token.verbs.ts';
import { building } from './building.ts';
import { manyAtOnce } from './bulk.ts';
import { creation, prepare } from './creation.ts';
import { planning } from './planning.ts';
import { layersCost } from './layers.ts';
import { rights } from './rights.ts';
import { agents, memory, serving } from './serving.ts';
import { overTls } from './tls.ts';
import { watching } from './watching.ts';
import { ADMIN, get, median, root, scratch, startServer, until, type Line, type Server } from './support.ts';

const only = process.argv[2]?.split('');
const wanted = (...parts: string[]): boolean => only === undefined || parts.some((part) => only.includes(part));
const lines: Line[] = [];

function add(more: readonly Line[]): void {
  lines.push(...more);
  for (const { part, what, value, unit, against, ratio, target, met } of more) {
    const figure = `${value.toFixed(value < 10 ? 2 : 0)} ${unit}`;
    console.log(
      `(${part}) ${what.padEnd(62)} ${figure.padStart(28)}${ratio === undefined ? '' : `  ratio ${ratio.toFixed(2)} (against ${against!.toFixed(0)})`}${target === undefined ? '' : `  asked: ${target}: ${met ? 'yes' : 'NO'}`}`,
    );
  }
}

interface Rig {
  readonly server: Server;
  readonly corral: Corral;
  readonly folder: string;
  close(): Promise<void>;
}

/** The real server on a fleet of its own, and a second process's view of the same database. */
async function rig(nodes: number, vms: number): Promise<Rig> {
  const folder = scratch();
  const first = await startServer(folder.path, { CORRAL_LOG_LEVEL: 'silent' });
  const url = (await attachEmbedded(folder.path))!;
  const { config } = loadConfig({ DATABASE_URL: url, CORRAL_DATA: folder.path, CORRAL_LOG_LEVEL: 'silent', CORRAL_POOL_SIZE: '8' });
  const corral = await openCorral(config);
  const begun = performance.now();
  await generateFleet(corral, { nodes, vms, seed: 1 });
  console.log(`    fleet of ${nodes} nodes and ${vms} VMs made in ${((performance.now() - begun) / 1000).toFixed(1)} s`);
  await corral.pool.query('vacuum analyze');
  await corral.close();
  await first.stop();
  const server = await startServer(folder.path, { CORRAL_POOL_SIZE: '24' });
  const again = await openCorral(config);
  return {
    server,
    corral: again,
    folder: folder.path,
    close: async () => {
      await again.close();
      await server.stop();
      folder.remove();
    },
  };
}

/** A token for each node. */
async function tokens(corral: Corral): Promise<Map<string, string>> {
  const { rows } = await corral.pool.query<{ id: string; fqdn: string }>(`select id, fqdn from node where state <> 'deactivated' order by id`);
  const made = new Map(rows.map((row) => [row.fqdn, newToken('node')]));
  const hashes = [...made.values()].map((token) => hashToken(token));
  await corral.pool.query(
    `insert into token (name, kind, node_id, hash) select 'bench-' || id, 'node', id, hash from unnest($1::bigint[], $2::bytea[]) as x (id, hash)`,
    [rows.map((row) => row.id), hashes],
  );
  return made;
}

/** (f) from the start of the process to the first document. */
async function starting(): Promise<Line[]> {
  const folder = scratch();
  const once = async (): Promise<number> => {
    const begun = performance.now();
    const server = await startServer(folder.path, { CORRAL_DEMO: '1', CORRAL_LOG_LEVEL: 'silent' });
    const nodes = (await server.call('GET', '/api/v1/nodes?limit=1&fields=fqdn')) as { nodes: { fqdn: string }[] };
    await until(async () => (await fetch(`${server.url}/enc/${nodes.nodes[0]!.fqdn}`, { headers: { authorization: `Bearer ${ADMIN}` } })).ok);
    const seconds = (performance.now() - begun) / 1000;
    await server.stop();
    return seconds;
  };
  const first = await once();
  const second = await once();
  folder.remove();
  return [
    { part: 'f', what: 'start to first document, new data folder with the demo fleet', value: first, unit: 's' },
    { part: 'f', what: 'start to first document, second start', value: second, unit: 's' },
  ];
}

/** (g) the ENC client as a process. */
function encClient(server: Server, node: string, token: string, folder: string): Line[] {
  const ruby = spawnSync('ruby', ['--version'], { encoding: 'utf8' });
  if (ruby.status !== 0) {
    console.log('(g) ruby is not installed: the ENC client was not measured');
    return [];
  }
  writeFileSync(join(folder, 'token'), token, { mode: 0o600 });
  writeFileSync(join(folder, 'client.yaml'), `url: "${server.url}"\ntoken_file: "${join(folder, 'token')}"\ncache_dir: "${join(folder, 'cache')}"\n`);
  const env = { ...process.env, CORRAL_CLIENT_CONFIG: join(folder, 'client.yaml') };
  const time = (command: string, args: readonly string[]): number => {
    const times = Array.from({ length: 15 }, () => {
      const begun = performance.now();
      const run = spawnSync(command, [...args], { env, encoding: 'utf8' });
      if (run.status !== 0) throw new Error(`${command}: ${run.stderr}`);
      return performance.now() - begun;
    });
    return median(times);
  };
  const client = time(join(root, 'puppet/files/corral-enc'), [node]);
  const bare = time('ruby', ['-e', 'require "net/http"; require "json"; require "yaml"']);
  return [
    { part: 'g', what: 'the ENC client as a process (against ruby loading its libraries)', value: client, unit: 'ms', against: bare, ratio: client / bare },
  ];
}

console.log(`${cpus().length} × ${cpus()[0]?.model}, ${(totalmem() / 1e9).toFixed(0)} GB, Node ${process.version}, PostgreSQL embedded 18`);
if (!existsSync(join(root, 'dist/main.js'))) throw new Error('run npm run build first');
if (wanted('f')) add(await starting());
if (wanted('a', 'b', 'e', 'g')) {
  const { server, corral, folder, close } = await rig(1000, 20_000);
  const byNode = await tokens(corral);
  const { rows } = await corral.pool.query<{ fqdn: string }>(
    `select n.fqdn from node n join hypervisor h on h.node_id = n.id join vm v on v.hypervisor_id = h.id where n.manager = 'puppet' group by 1 order by count(*) desc, 1 limit 1`,
  );
  const node = rows[0]!.fqdn;
  if (wanted('a')) {
    add(await serving(server, node, byNode.get(node)!, 64));
    add(await serving(server, node, byNode.get(node)!, 16));
  }
  if (wanted('b')) add(await building(corral));
  if (wanted('e'))
    add(
      await agents(
        server,
        [...byNode].map(([fqdn, token]) => get(`/enc/${fqdn}`, token)),
      ),
    );
  if (wanted('g')) add(encClient(server, node, byNode.get(node)!, folder));
  await close();
}
if (wanted('t')) {
  const { corral, folder, close } = await rig(100, 2000);
  const [[node, token] = ['', '']] = [...(await tokens(corral))];
  add(await overTls(corral.url, folder, node, token, 64));
  await close();
}
if (wanted('h')) {
  const { server, corral, close } = await rig(100, 500);
  await prepare(corral);
  add(await planning(server, corral));
  await close();
}
if (wanted('l')) add(await layersCost());
if (wanted('r')) add(await rights());
if (wanted('k')) {
  const { server, corral, close } = await rig(100, 500);
  await prepare(corral);
  add(await manyAtOnce(server, corral));
  await close();
}
if (wanted('w')) {
  const { server, corral, close } = await rig(100, 500);
  add(await watching(server, corral.url));
  await close();
}
if (wanted('c', 'd')) {
  let small = Number.NaN;
  if (wanted('c')) {
    const { server, corral, folder, close } = await rig(100, 500);
    await prepare(corral);
    const result = await creation(server, corral, 100, folder);
    small = result.perSecond;
    add(result.lines);
    await close();
  }
  const { server, corral, folder, close } = await rig(10_000, 50_000);
  if (wanted('d')) {
    const byNode = await tokens(corral);
    add(
      await memory(
        server,
        [...byNode].map(([fqdn, token]) => get(`/enc/${fqdn}`, token)),
        byNode.size,
        50_000,
      ),
    );
  }
  if (wanted('c')) {
    await prepare(corral);
    const result = await creation(server, corral, 10_000, folder);
    add(result.lines);
    const slower = small / result.perSecond;
    add([{ part: 'c', what: 'on a fleet 100 times larger: slower by', value: slower, unit: 'times', target: '<= 1.3', met: slower <= 1.3 }]);
  }
  await close();
}
writeFileSync(
  join(root, 'bench.json'),
  `${JSON.stringify({ at: new Date().toISOString(), machine: { cpu: cpus()[0]?.model, cores: cpus().length, memory: totalmem(), node: process.version }, lines }, null, 2)}\n`,
);
const missed = lines.filter((line) => line.met === false);
console.log(
  missed.length === 0
    ? 'every figure that was asked for is met; the figures are in bench.json'
    : `${missed.length} figures fall short; the figures are in bench.json`,
);
