/**
 * Two customers with random data: whatever is asked, filtered, sorted, included, paged or searched for, nothing of the
 * other's is in the answer, and a question about the other's things is answered as one about things that are not there.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { operatorsOf, reverseNames } from '../../src/db/query.ts';
import type { Model } from '../../src/db/catalog.ts';
import type { Row } from '../../src/db/read.ts';
import { testCorral, type TestCorral } from '../support/corral.ts';
import { GIB } from '../http/samples.ts';
import { MARK, NOBODY, NOUNS, Statements, tell, twoCustomers, type Asked, type Told, type Two } from './leaks.fleet.ts';

/** CORRAL_PROPERTY_RUNS: more of each, for a night; CORRAL_PROPERTY_SEED repeats one. */
const RUNS = Number(process.env['CORRAL_PROPERTY_RUNS'] ?? 150);
const SEED = Number(process.env['CORRAL_PROPERTY_SEED'] ?? 20_261_121);

let corral: TestCorral;
let two: Two;
let random: () => number;
const statements = new Statements();
const who = ['admin', 'user', 'project'] as const;

/** mulberry32 */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
const whole = (below: number): number => Math.floor(random() * below);
const pick = <T>(list: readonly T[]): T => list[whole(list.length)]!;
const some = <T>(list: readonly T[], most: number): T[] => Array.from({ length: whole(most + 1) }, () => pick(list));

beforeAll(async () => {
  statements.start();
  corral = await testCorral();
  two = await twoCustomers(corral);
});
afterAll(() => statements.stop());

/** The noun as the customer sees it. */
let seen: Map<string, Model>;
function catalogOf(): Map<string, Model> {
  return (seen ??= new Map(NOUNS.map((noun) => [noun, corral.catalog.byNoun(noun)])));
}

/** A value that the field may be compared with: the other's, an own one, or one that nothing has. */
function valueOf(noun: string, name: string): { theirs: string; nobodys: string } {
  const field = catalogOf().get(noun)!.field.get(name)!;
  const rows = two.other.rows.get(field.ref ?? noun) ?? [];
  const row: Row | undefined = rows.length === 0 ? undefined : pick(rows);
  const value = field.ref === undefined ? row?.[name] : pick([row?.['id'], row?.['name'], row?.['uuid']]);
  const theirs = String(value ?? MARK);
  if (/^[0-9a-f]{8}-/.test(theirs)) return { theirs, nobodys: '11111111-2222-4333-8444-555555555555' };
  if (theirs.startsWith('02:')) return { theirs, nobodys: '02:aa:bb:cc:dd:ee' };
  if (theirs.startsWith('10.')) return { theirs, nobodys: theirs.includes('/') ? '10.99.0.0/24' : '10.99.99.99' };
  return { theirs, nobodys: theirs.replaceAll(MARK, 'nobodys').replaceAll(/88000\d{4}/g, String(NOBODY)) };
}

/** A random list: its parameters, in which `<n>` stands for the n-th value. */
function randomList(noun: string): { query: URLSearchParams; values: { theirs: string; nobodys: string }[] } {
  const model = catalogOf().get(noun)!;
  const query = new URLSearchParams();
  const values: { theirs: string; nobodys: string }[] = [];
  const comparable = model.fields.filter((field) => operatorsOf(field).length > 0);
  for (const field of some(comparable, 2)) {
    const operator = pick(operatorsOf(field));
    if (operator === '__null') query.append(`${field.name}__null`, pick(['true', 'false']));
    else if (operator === '__in' || random() < 0.7) {
      values.push(valueOf(noun, field.name));
      query.append(field.name + operator, `<${values.length - 1}>${operator === '__in' && random() < 0.5 ? ',mine' : ''}`);
    } else query.append(field.name + operator, pick(['mine', '1', 'true', 'KVM', '']));
  }
  if (random() < 0.3) {
    values.push({ theirs: MARK.slice(0, 2 + whole(6)), nobodys: 'nobodys' });
    query.append('q', `<${values.length - 1}>`);
  }
  const sortable = model.fields.filter((field) => !field.list && field.type !== 'object' && field.type !== 'array').map((field) => field.name);
  const sort = [...new Set(some([...sortable, 'id', 'created_at'], 3))].map((name) => (random() < 0.5 ? '-' : '') + name);
  if (sort.length > 0) query.set('sort', sort.join());
  const including = [...model.fields.filter((field) => field.ref !== undefined).map((field) => field.name), ...reverseNames(model).keys()];
  const include = some(including, 3);
  if (include.length > 0) query.set('include', include.join());
  if (random() < 0.3)
    query.set(
      'fields',
      [
        ...new Set(
          some(
            model.fields.filter((field) => !field.writeOnly).map((field) => field.name),
            3,
          ),
        ),
      ].join(),
    );
  if (random() < 0.5) query.set('limit', String(1 + whole(4)));
  if (random() < 0.5) query.set('total', 'true');
  return { query, values };
}

function clean(told: Told, what: unknown): void {
  for (const mark of two.other.marks)
    if (mark.test(told.text)) expect({ what, seed: SEED, mark: String(mark), text: told.text.slice(0, 3000) }).toBe('nothing of the other');
}

const filled = (query: URLSearchParams, values: readonly string[]): string =>
  new URLSearchParams(
    [...query].map(([name, value]): [string, string] => [name, value.replaceAll(/<(\d+)>/g, (_, i: string) => values[Number(i)]!)]),
  ).toString();

const without = (text: string, values: readonly string[]): string =>
  values.reduce((out, value, i) => (value.length < 4 ? out : out.replaceAll(encodeURIComponent(value), `<${i}>`).replaceAll(value, `<${i}>`)), text);

test('random lists have nothing of the other, page by page, and no filter finds it', async () => {
  random = generator(SEED);
  let rows = 0;
  for (let run = 0; run < RUNS; run++) {
    const noun = pick(NOUNS);
    const as = pick(who);
    const { query, values } = randomList(noun);
    const route = `/api/v1/${catalogOf().get(noun)!.route}`;
    const asked = (names: readonly string[]): Asked => ({
      method: 'GET',
      path: `${route}?${filled(query, names)}`,
      ...(random() < 0.15 ? { headers: { accept: 'text/html' } } : {}),
    });
    const theirs = values.map((one) => one.theirs);
    const nobodys = values.map((one) => one.nobodys);
    const request = asked(theirs);
    const a = await tell(corral, two.tokens[as], request, statements);
    const b = await tell(corral, two.tokens[as], { ...request, path: asked(nobodys).path }, statements);
    const told = without(a.text, theirs);
    clean({ ...a, text: told }, request);
    rows += (a.text.match(/"id":/g) ?? []).length;
    /* What sorts between the two, and what is not equal to either, is told apart by the own rows alone. */
    if (![...query.keys()].some((name) => /__(gt|gte|lt|lte|ne)$/.test(name)) && request.headers === undefined)
      expect({ run, seed: SEED, request, ...a, text: told }).toEqual({ run, seed: SEED, request, ...b, text: without(b.text, nobodys) });
    for (let next = nextOf(a), pages = 0; next !== undefined && pages < 6; pages++) {
      const page = await tell(corral, two.tokens[as], { method: 'GET', path: next }, statements);
      clean({ ...page, text: without(page.text, theirs) }, next);
      next = nextOf(page);
      const cursor = next === undefined ? '' : Buffer.from(new URL(next, corral.base).searchParams.get('after')!, 'base64url').toString();
      clean({ ...page, text: without(cursor, theirs) }, next);
    }
  }
  /* A test in which nobody sees anything would show nothing. */
  expect(rows).toBeGreaterThan(RUNS);
}, 120_000);

function nextOf({ status, text }: Told): string | undefined {
  const body = text.slice(text.indexOf('\n\n') + 2);
  return status === 200 && body.startsWith('{') ? (JSON.parse(body) as { next?: string }).next : undefined;
}

test('random writes touch nothing of the other, and are answered without a word of it', async () => {
  random = generator(SEED + 1);
  const before = await snapshot();
  let done = 0;
  for (let run = 0; run < RUNS; run++) {
    const as = pick(who);
    const { request, values } = randomWrite();
    const told = await tell(corral, two.tokens[as], request, statements);
    clean({ ...told, text: without(told.text, values) }, request);
    expect(told.status).toBeLessThan(500);
    if (told.status < 300) done++;
  }
  expect(await snapshot()).toEqual(before);
  expect(done).toBeGreaterThan(RUNS / 50);
}, 120_000);

/** What the other has, whole. */
async function snapshot(): Promise<string> {
  const parts: string[] = [];
  for (const noun of NOUNS) {
    const told = await tell(corral, two.tokens.other, { method: 'GET', path: `/api/v1/${catalogOf().get(noun)!.route}?limit=1000&sort=id` });
    parts.push(told.text);
  }
  return parts.join('\n');
}

function randomWrite(): { request: Asked; values: string[] } {
  const noun = pick(NOUNS);
  const model = catalogOf().get(noun)!;
  const values: string[] = [];
  const other = (target: string): string | number => {
    const row = pick(two.other.rows.get(target) ?? two.other.rows.get('vm')!);
    const value = pick([row['id'], row['uuid'], row['name'], row['address'], row['mac']].filter((one) => one != null)) as string | number;
    values.push(String(value));
    return value;
  };
  const own = (target: string): string | number => pick(two.own.get(target) ?? two.own.get('vm')!)['id'] as number;
  const any = (target: string): string | number => (random() < 0.5 ? other(target) : own(target));
  const body = (): Record<string, unknown> => {
    const out: Record<string, unknown> = {};
    for (const field of some(
      model.fields.filter((one) => !one.readOnly),
      3,
    )) {
      if (field.ref !== undefined) out[field.name] = two.own.has(field.ref) ? any(field.ref) : `${MARK}-pool`;
      else if (field.choices) out[field.name] = pick(field.choices);
      else if (field.type === 'integer') out[field.name] = field.name === 'ram' || field.name === 'size' ? GIB : 1 + whole(3);
      else if (field.type === 'boolean') out[field.name] = random() < 0.5;
      else if (field.type === 'string') out[field.name] = random() < 0.5 ? String(other(noun)) : `mine-${whole(1e6)}`;
    }
    if (random() < 0.5 && noun === 'vm') Object.assign(out, { method: 'KVM', cores: 1, ram: GIB / 4 });
    if (random() < 0.3 && noun === 'vm')
      out['interfaces'] = [{ networks: [{ network: any('network') }], ...(random() < 0.5 ? { addresses: [String(other('address'))] } : {}) }];
    if (random() < 0.3 && noun === 'vm') out['volumes'] = [{ size: GIB, ...(random() < 0.5 ? { name: String(other('volume')) } : {}) }];
    if (random() < 0.5 && noun === 'snapshot') Object.assign(out, { volume: any('volume'), name: `snap-${whole(1e6)}` });
    if (random() < 0.5 && noun === 'volume') Object.assign(out, { vm: any('vm'), size: GIB });
    if (random() < 0.5 && noun === 'vm_interface') Object.assign(out, { vm: any('vm') });
    return out;
  };
  for (const text of [MARK]) values.push(text);
  const suffix = random() < 0.4 ? '?dry_run=true' : '';
  if (random() < 0.3) {
    const operations = Array.from({ length: 1 + whole(4) }, () => {
      const op = pick(['create', 'update', 'put', 'delete']);
      return { op, noun, ...(op === 'create' ? {} : { key: String(any(noun)) }), ...(op === 'delete' ? {} : { body: body() }) };
    });
    return { request: { method: 'POST', path: `/bulk${suffix}`, body: { operations } }, values };
  }
  const method = pick(['POST', 'PATCH', 'PUT', 'DELETE', 'PATCH', 'POST']);
  const base = `/api/v1/${model.route}`;
  if (method === 'POST') return { request: { method, path: base + suffix, body: body() }, values };
  const path = `${base}/${encodeURIComponent(any(noun))}${suffix}`;
  return { request: { method, path, ...(method === 'DELETE' ? {} : { body: body() }) }, values };
}
