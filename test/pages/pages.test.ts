import { load } from 'js-yaml';
import { beforeAll, describe, expect, test } from 'vitest';
import { ADMIN, testCorral, type TestCorral } from '../support/corral.ts';
import { problems } from '../../src/kernel/problem.ts';
import { stylesheet } from '../../src/pages/style.ts';
import { get, makeFleet, post, type Got } from './fleet.ts';
import { all, text, type Element } from './html.ts';

const hostile = `<script>alert("1")</script>'"><img src=x onerror=alert(1)>&amp;`;
let corral: TestCorral;
let reader: string;

beforeAll(async () => {
  corral = await testCorral();
  await makeFleet(corral);
  await corral.make('vm', { name: hostile, cores: 1, ram: 1_048_576, method: 'QEMU', metadata: { [hostile]: hostile }, cloud_init: { user_data: hostile } });
  await corral.make('customer', { name: 'hostile', title: hostile });
  await corral.make('node', { fqdn: 'hv9.example.com', site: 'fra1', location: hostile, roles: { hypervisor: { methods: ['QEMU'], cores: 1, ram: 1024 } } });
  for (let i = 0; i < 120; i++) await corral.make('customer', { name: `customer-${i}` });
  reader = String((await corral.make('token', { name: 'reader', kind: 'reader' }))['token']);
});

/** What is wrong with a page, of what must hold for every page. */
function faultsOf({ page, html, headers }: Got): string[] {
  const faults: string[] = [];
  const must = (holds: boolean, what: string): void => {
    if (!holds) faults.push(what);
  };
  const everything = all(page, () => true);
  must(all(page, 'html')[0]?.attributes['lang'] === 'en', 'no language');
  must(text(all(page, 'title')[0]!) !== '', 'no title');
  must(all(page, 'h1').length === 1 && all(page, 'main').length === 1, 'not one h1 and one main');
  must(!/<script|<style|<img src=x|javascript:/i.test(html), 'holds script or style');
  must(headers.get('content-security-policy')?.includes("style-src 'self'") === true, 'no policy');
  const ids = everything.flatMap((one) => one.attributes['id'] ?? []);
  must(new Set(ids).size === ids.length, 'an id is there twice');
  const labels = new Set(all(page, 'label').map((one) => one.attributes['for']));
  for (const { tag, attributes } of everything) {
    const at = `<${tag} ${JSON.stringify(attributes)}>`;
    const names = Object.keys(attributes);
    must(!names.some((name) => name === 'style' || name.startsWith('on')), `${at} has style or script`);
    const control = ['input', 'select', 'textarea'].includes(tag) && attributes['type'] !== 'hidden';
    must(!control || labels.has(attributes['id']) || 'aria-label' in attributes, `${at} has no label`);
    const named = ['aria-describedby', 'aria-labelledby', 'list', 'for'].flatMap((name) => attributes[name]?.split(' ') ?? []);
    const { href } = attributes;
    must(
      [...named, ...(href?.startsWith('#') ? [href.slice(1)] : [])].every((id) => ids.includes(id)),
      `${at} names what is not there`,
    );
    must(tag !== 'a' || /^(\/(?!\/)|#|https?:\/\/)/.test(href ?? ''), `${at} leads elsewhere`);
  }
  return faults;
}

function decent(got: Got, path: string): void {
  expect([path, ...faultsOf(got)]).toEqual([path]);
}

const column = (page: Element, label: string): string[] => all(page, (one) => one.tag === 'td' && one.attributes['data-label'] === label).map(text);

test('every list, thing and form is decent', async () => {
  let seen = 0;
  for (const model of corral.catalog.models) {
    const list = await get(corral, `/api/v1/${model.route}`);
    const links = all(list.page, (one) => one.tag === 'td' && (one.attributes['class'] ?? '').includes('first')).flatMap((cell) => all(cell, 'a'));
    const canCreate = !model.resource.readOnly && !model.resource.without?.includes('create');
    const paths = [`/api/v1/${model.route}`, ...links.slice(0, 3).map((link) => link.attributes['href']!), ...(canCreate ? [`/forms/${model.route}`] : [])];
    for (const path of paths) {
      const got = await get(corral, path);
      expect([path, got.status]).toEqual([path, 200]);
      decent(got, path);
      seen++;
    }
    decent(await post(corral, `/api/v1/${model.route}`, new URLSearchParams({ name: hostile, nonsense: hostile })), `refused ${model.route}`);
  }
  expect(seen).toBeGreaterThan(100);
});

test('every link of a page leads somewhere', async () => {
  const seen = new Set<string>();
  for (const path of [
    '/',
    '/api/v1/nodes',
    '/api/v1/nodes/hv1.example.com',
    '/api/v1/subnets',
    '/api/v1/subnets/203.0.113.0%2F24',
    '/api/v1/vms?name=web-1',
    '/api/v1/pool-attachments',
    '/enc/hv1.example.com',
    '/api/v1/volumes',
  ]) {
    const { page } = await get(corral, path);
    for (const link of all(page, 'a')) {
      const href = link.attributes['href']!;
      if (!href.startsWith('/') || seen.has(href)) continue;
      seen.add(href);
      const { status } = await corral.request(href.split('#')[0]!, { headers: { accept: 'text/html, */*;q=0.5' } });
      expect([path, href, status]).toEqual([path, href, 200]);
    }
  }
  expect(seen.size).toBeGreaterThan(60);
});

test.each(['/', '/docs', '/enc/hv1.example.com', '/hiera/hv1.example.com', '/pillar/hv1.example.com', '/tops/hv1.example.com', '/documents/hv9.example.com'])(
  '%s is decent',
  async (path) => {
    const page = await get(corral, path);
    expect(page.status).toBe(200);
    decent(page, path);
  },
);

/** Data with '(secret)' where the page has that. */
function veiled(data: unknown, page: unknown): unknown {
  if (page === '(secret)') return page;
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return data;
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, veiled(value, (page as Record<string, unknown> | undefined)?.[key])]));
}

/** Ceph keys, which are base64 of 28 bytes that begin with 1. */
function secretsIn(data: unknown): string[] {
  return JSON.stringify(data).match(/AQA[A-Za-z0-9+/]{35,}==|AQ[A-Za-z0-9+/]{36}==/g) ?? [];
}

test.each(['enc', 'hiera', 'pillar', 'tops', 'documents'])(
  'the YAML on the page of %s is the same data as the JSON, texts in blocks too, without the secrets',
  async (envelope) => {
    for (const node of ['hv1.example.com', 'hv9.example.com']) {
      const { page } = await get(corral, `/${envelope}/${node}`);
      const shown = text(all(page, (one) => one.attributes['class'] === 'yaml')[0]!);
      const data: unknown = await (await corral.request(`/${envelope}/${node}.json`)).json();
      const read = load(shown);
      expect(read).toEqual(veiled(data, read));
      for (const secret of secretsIn(data)) expect(shown).not.toContain(secret);
    }
  },
);

test('what is hostile is text, wherever it stands', async () => {
  const id = ((await (await corral.request(`/api/v1/vms?name=${encodeURIComponent(hostile)}`)).json()) as { vms: { id: number }[] }).vms[0]!.id;
  for (const path of [
    `/api/v1/vms/${id}`,
    `/forms/vms/${id}`,
    '/api/v1/vms',
    `/api/v1/vms?q=${encodeURIComponent(hostile)}`,
    '/api/v1/customers/hostile',
    '/api/v1/nodes',
    `/api/v1/volumes?vm=${id}`,
    `/forms/customers?name=${encodeURIComponent(hostile)}`,
  ]) {
    const got = await get(corral, path);
    decent(got, path);
    const said =
      text(got.page) +
      all(got.page, () => true)
        .map((one) => Object.values(one.attributes).join('\n'))
        .join('\n');
    expect([path, said.includes(hostile)]).toEqual([path, true]);
  }
  for (const path of [
    `/api/v1/vms/${encodeURIComponent(hostile)}`,
    `/api/v1/${encodeURIComponent(hostile)}`,
    `/api/v1/vms?${encodeURIComponent(hostile)}=1`,
    `/${encodeURIComponent(hostile)}`,
  ]) {
    const got = await get(corral, path);
    expect(got.status).toBeGreaterThanOrEqual(400);
    decent(got, path);
  }
});

describe('a list', () => {
  test('pages forward to the end and back to the first, with the order and filters kept', async () => {
    const first = await get(corral, '/api/v1/customers?sort=-name&name__startswith=customer-');
    expect(column(first.page, 'Name')).toHaveLength(100);
    const next = all(first.page, (one) => one.attributes['rel'] === 'next')[0]!.attributes['href']!;
    const second = await get(corral, next);
    expect(column(second.page, 'Name')).toHaveLength(20);
    expect([...column(first.page, 'Name'), ...column(second.page, 'Name')]).toEqual(
      [...Array(120).keys()]
        .map((i) => `customer-${i}`)
        .sort()
        .toReversed(),
    );
    expect(all(second.page, (one) => one.tag === 'a' && text(one) === 'First page')[0]!.attributes['href']).toBe(
      '/api/v1/customers?sort=-name&name__startswith=customer-',
    );
    expect(all(first.page, (one) => one.attributes['aria-sort'] === 'descending').map(text)).toEqual(['Name']);
    expect(text(first.page)).toContain('100 of 120');
  });

  test('takes the empty inputs of its own filter form, and each filter can be removed', async () => {
    const { page, status } = await get(corral, '/api/v1/vms?q=web&customer__contains=&state=&hypervisor__contains=hv1&method=');
    expect(status).toBe(200);
    expect(column(page, 'Name')).toEqual(['web-1']);
    const chips = all(page, (one) => one.attributes['class'] === 'chips').flatMap((one) => all(one, 'a'));
    expect(chips.map((one) => one.attributes['href'])).toEqual(['/api/v1/vms?hypervisor__contains=hv1', '/api/v1/vms?q=web', '/api/v1/vms']);
  });

  test('shows bytes for people with the exact number, and things by their names', async () => {
    const { page } = await get(corral, '/api/v1/volumes?sort=id');
    expect(column(page, 'VM')[0]).toBe('web-1');
    const size = all(page, 'data').find((one) => one.attributes['value'] === '1536')!;
    expect([text(size), size.attributes['title']]).toEqual(['1.5 KiB', '1\u202f536 bytes']);
  });

  test('that is sorted by a thing shows its name and pages on', async () => {
    let path: string | undefined = '/api/v1/volumes?sort=vm&limit=1';
    const seen: string[] = [];
    while (path !== undefined) {
      const { page } = await get(corral, path);
      seen.push(...column(page, 'VM'));
      path = all(page, (one) => one.attributes['rel'] === 'next')[0]?.attributes['href'];
    }
    expect(seen.toSorted()).toEqual([hostile, 'web-1', '–none'].toSorted());
  });

  test('that is empty says what to do', async () => {
    expect(text((await get(corral, '/api/v1/vms?q=nothing-like-it')).page)).toContain('No virtual machine matches');
    const empty = await testCorral();
    const { page } = await get(empty, '/api/v1/sites');
    expect(all(page, (one) => one.tag === 'a' && one.attributes['href'] === '/forms/sites').length).toBeGreaterThan(0);
    expect(text((await get(empty, '/')).page)).toContain('First steps');
  });
});

test('a reader sees no button that would be refused', async () => {
  for (const path of ['/', '/api/v1/nodes', '/api/v1/nodes/hv1.example.com']) {
    const { page } = await get(corral, path, reader);
    const buttons = all(
      page,
      (one) =>
        (one.attributes['href'] ?? '').startsWith('/forms/') ||
        one.attributes['value'] === 'DELETE' ||
        (one.tag === 'form' && one.attributes['method'] === 'post'),
    );
    expect(buttons.map((one) => one.attributes['action'])).toEqual(['/logout']);
  }
  const refused = await get(corral, '/forms/nodes', reader);
  expect(refused.status).toBe(403);
  decent(refused, 'refused');
});

test('logging in takes a token, refuses a wrong one with a reason, and logs out', async () => {
  const page = await get(corral, `/login?next=${encodeURIComponent('/api/v1/vms')}`, null);
  decent(page, '/login');
  const login = async (token: string): Promise<Response> =>
    corral.request('/login', { method: 'POST', token: null, body: new URLSearchParams({ token, next: '/api/v1/vms' }), headers: { accept: 'text/html' } });
  const wrong = await login('corral_wrong');
  expect(wrong.status).toBe(401);
  const html = await wrong.text();
  expect(html).toContain('not known here');
  expect(html).not.toContain('corral_wrong');
  const right = await login(ADMIN);
  expect([right.status, right.headers.get('location')]).toEqual([303, '/api/v1/vms']);
  const cookie = right.headers.getSetCookie()[0]!.split(';')[0]!;
  expect((await corral.request('/', { token: null, headers: { cookie, accept: 'text/html' } })).status).toBe(200);
  const out = await corral.request('/logout', { method: 'POST', token: null, headers: { cookie } });
  expect(out.headers.getSetCookie()[0]).toMatch(/Max-Age=0/);
});

test('the reference has every operation and every problem code at its anchor', async () => {
  const { page } = await get(corral, '/docs');
  const api = (await (await corral.request('/openapi.json')).json()) as { paths: Record<string, Record<string, unknown>> };
  const operations = Object.values(api.paths).flatMap((item) => Object.keys(item).filter((verb) => verb !== 'parameters'));
  expect(all(page, (one) => one.attributes['class'] === 'operation')).toHaveLength(operations.length);
  const ids = new Set(all(page, (one) => one.tag === 'tr' && 'id' in one.attributes).map((one) => one.attributes['id']));
  expect(ids).toEqual(new Set(Object.keys(problems)));
});

test('the stylesheet loads nothing and stays small', () => {
  expect(stylesheet).not.toMatch(/@import|url\(/);
  expect(Buffer.byteLength(stylesheet)).toBeLessThan(32_000);
  for (const [open, close] of [
    ['{', '}'],
    ['(', ')'],
  ] as const)
    expect(stylesheet.split(open).length).toBe(stylesheet.split(close).length);
});
