import { beforeAll, expect, test } from 'vitest';
import { get, type Got } from '../pages/fleet.ts';
import { all, text, type Element } from '../pages/html.ts';
import { testCorral, type TestCorral } from '../support/corral.ts';
import { layeredFleet, NODE, write } from './fleet.ts';

const hostile = `<script>alert("1")</script>'"><img src=x onerror=alert(1)>&amp;`;
let corral: TestCorral;

beforeAll(async () => {
  corral = await testCorral();
  await layeredFleet(corral);
  await write(corral, 'PATCH', '/layers/own', { data: { motd: 'Mine alone', other: hostile, [hostile.replaceAll(/['"]/g, '')]: 1 } }, hostile);
});

const links = (page: Element): string[] => [...new Set(all(page, 'a').map((one) => one.attributes['href']!))];
const classed = (page: Element, tag: string, name: string): Element[] =>
  all(page, (one) => one.tag === tag && (one.attributes['class'] ?? '').split(' ').includes(name));

function decent({ status, page, html, headers }: Got): void {
  expect(status).toBe(200);
  expect(html).not.toMatch(/<script|<img src=x/i);
  expect(headers.get('content-security-policy')).toContain("default-src 'none'");
  expect([all(page, 'h1').length, all(page, 'main').length]).toEqual([1, 1]);
  const ids = all(page, () => true).flatMap((one) => one.attributes['id'] ?? []);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { attributes } of all(page, () => true)) for (const name of Object.keys(attributes)) expect(name).not.toMatch(/^(?:style|on.*)$/);
}

test('shows the tree of the documents, each value with its winner beside it and its layers folded', async () => {
  const got = await get(corral, `/nodes/${NODE}/explain`);
  decent(got);
  const items = classed(got.page, 'details', 'origin');
  expect(items.length).toBeGreaterThan(25);
  const summary = (key: string): Element =>
    all(
      items.find((one) => text(all(one, 'b')[0]!) === key)!,
      'summary',
    )[0]!;
  expect(text(summary('packages'))).toMatch(/packages.*\["htop","tcpdump","vim"\].*fra1.*base/);
  expect(text(summary('db::password'))).toMatch(/\(secret\).*first/);
  expect(text(summary('corral::hypervisor::domains'))).toMatch(/1 entry.*model/);
  expect(all(got.page, 'h2').map(text)).toEqual(expect.arrayContaining(['Layers that reach it', 'Classes', 'Variables', 'Environment', 'Data']));
  const inside = links(all(got.page, 'main')[0]!).filter((href) => href.startsWith('/'));
  for (const path of inside) expect([path, (await get(corral, path)).status]).toEqual([path, 200]);
});

test('shows one value unfolded, with layers out of reach and the changes', async () => {
  const got = await get(corral, `/nodes/${NODE}/explain/packages`);
  decent(got);
  const [item] = classed(got.page, 'details', 'origin');
  expect(item!.attributes).toHaveProperty('open');
  expect(classed(item!, 'span', 'badge').map(text)).toEqual([
    'no such key',
    'no such key',
    'no such key',
    'no such key',
    'part of it',
    'part of it',
    'out of reach',
  ]);
  expect(links(item!).filter((href) => href.startsWith('/changes/')).length).toBeGreaterThan(1);
  expect(text(item!)).toContain('Frankfurt');
});

test('shows what others wrote as text', async () => {
  const got = await get(corral, `/nodes/${NODE}/explain/other`);
  decent(got);
  expect(text(classed(got.page, 'q', 'told')[0]!)).toBe(hostile);
});

test('is linked from the node and its documents, and for those who may not read it not', async () => {
  for (const path of [`/api/v1/nodes/${NODE}`, `/enc/${NODE}`, `/hiera/${NODE}`])
    expect(links((await get(corral, path)).page)).toContain(`/nodes/${NODE}/explain`);
  const token = String((await corral.make('token', { name: 'host', kind: 'node', node: NODE }))['token']);
  expect(links((await get(corral, `/enc/${NODE}`, token)).page)).not.toContain(`/nodes/${NODE}/explain`);
});
