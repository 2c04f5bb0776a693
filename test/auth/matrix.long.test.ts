/**
 * Every route × every kind of identity × the own thing, another's and one that is not there, against the table
 * in fixtures/rights/matrix.md, which people read. `UPDATE_MATRIX=1` writes it anew.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import { testCorral, type TestCorral } from '../support/corral.ts';
import { makeFleet, routesOf, type Fleet, type Who } from './matrix.fleet.ts';
import { linesOf, type Ask, type Line } from './matrix.lines.ts';
import { otherLines } from './matrix.others.ts';

const FILE = new URL('../../fixtures/rights/matrix.md', import.meta.url);
/** Routes without a line of their own: what every request goes through. */
const MIDDLEWARE = new Set(['ALL /*', 'ALL /login', 'ALL /login/*']);
/** Requests that are under way at once. */
const TOGETHER = 12;

let corral: TestCorral;
let fleet: Fleet;
let lines: Line[];

beforeAll(async () => {
  corral = await testCorral();
  fleet = await makeFleet(corral);
  lines = [...otherLines(fleet), ...corral.catalog.models.flatMap((model) => linesOf(model, fleet))];
});

/** A status; of a plan that of the write; of a refusal the permission, where it is another than the line's. */
async function ask({ path, method = 'GET', body, headers = {}, first }: Ask, who: Readonly<Record<string, string>>, needs?: string): Promise<string> {
  await first?.();
  const ending = new AbortController();
  const plain = typeof body === 'string';
  const answer = await fetch(corral.base + path, {
    method,
    redirect: 'manual',
    signal: ending.signal,
    headers: { ...(body === undefined || plain ? {} : { 'content-type': 'application/json' }), ...headers, ...who },
    ...(body === undefined ? {} : { body: plain ? body : JSON.stringify(body) }),
  });
  const type = answer.headers.get('content-type') ?? '';
  if (type.startsWith('text/event-stream')) {
    ending.abort();
    return String(answer.status);
  }
  const text = await answer.text();
  const data = text !== '' && /^application\/(problem\+)?json/.test(type) ? (JSON.parse(text) as Record<string, unknown>) : {};
  if (answer.status === 403) {
    const permission = data['permission'] as string | undefined;
    if (text !== '' && type.includes('json') && permission === undefined) return '403 (kind)';
    return permission === undefined || permission === needs ? '403' : `403 ${permission}`;
  }
  return String(path.includes('dry_run=true') && answer.status === 200 && 'plan' in data ? data['status'] : answer.status);
}

async function cell({ asks, needs }: Line, who: Who): Promise<string> {
  const all: string[] = [];
  for (const one of asks) all.push(one ? await ask(one, await who.headers(), needs) : '-');
  const told = all.filter((one) => one !== '-');
  return told.length > 1 && told.every((one) => one === told[0]) ? told[0]! : all.join(' / ');
}

function written(cells: readonly (readonly string[])[]): string {
  const { identities } = fleet;
  const out = [
    '# Who may do what',
    '',
    'Written by test/auth/matrix.long.test.ts (`UPDATE_MATRIX=1 npm run long test/auth/matrix`), which fails where Corral answers otherwise.',
    '',
    'Columns:',
    '',
    ...identities.map(({ name, what }) => `- ${name}: ${what}`),
    '',
    'Cells are statuses: of a request about a thing of the own place (site fra1, customer "mine", the node hv0), about one of',
    'another, and about one that is not there; one status where all three are the same. Writes are dry runs, and the status is',
    'that of the write. 403 names the permission of the column "needs"; another one is said, and "(kind)" is that of a node,',
    'whose token is for its documents and reports alone. Of changes the two are one that is there and one that is not.',
  ];
  let group = '';
  for (const [i, line] of lines.entries()) {
    if (line.group !== group) {
      group = line.group;
      out.push('', `## ${group}`, '', `| route | needs | ${identities.map(({ name }) => name).join(' | ')} |`, `|${' --- |'.repeat(identities.length + 2)}`);
    }
    out.push(`| ${line.label.replaceAll('|', '\\|')} | ${line.needs ?? ''} | ${cells[i]!.join(' | ')} |`);
  }
  return `${out.join('\n')}\n`;
}

test('every route of the app has a line', () => {
  const covered = new Set(lines.map((line) => line.covers));
  expect(routesOf(corral).filter((route) => !covered.has(route) && !MIDDLEWARE.has(route))).toEqual([]);
});

test('every route answers everybody as the table says', async () => {
  const cells: string[][] = lines.map(() => []);
  /* Logging out and the like end what later lines need: those go one by one. */
  const alone = lines.flatMap((line, i) => (['open', 'account', 'verbs', 'reports', 'hosts that enrol'].includes(line.group) ? [i] : []));
  const work = lines.flatMap((_, i) => (alone.includes(i) ? [] : fleet.identities.map((_, j) => [i, j] as const)));
  await Promise.all(
    Array.from({ length: TOGETHER }, async () => {
      for (let next = work.pop(); next; next = work.pop()) cells[next[0]]![next[1]] = await cell(lines[next[0]]!, fleet.identities[next[1]]!);
    }),
  );
  for (const i of alone) for (const [j, who] of fleet.identities.entries()) cells[i]![j] = await cell(lines[i]!, who);
  const table = written(cells);
  if (process.env['UPDATE_MATRIX'] === '1') {
    mkdirSync(new URL('.', FILE), { recursive: true });
    writeFileSync(FILE, table);
  }
  expect(table.split('\n')).toEqual(readFileSync(FILE, 'utf8').split('\n'));
}, 300_000);
