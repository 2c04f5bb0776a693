import { existsSync } from 'node:fs';
import { chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PASSWORD } from '../auth/people-support.ts';
import { ADMIN, testCorral } from '../support/corral.ts';
import { makeFleet } from './fleet.ts';

const CHROMIUM = '/usr/bin/chromium';
const WIDTHS = [390, 1280];
const corral = await testCorral();
await makeFleet(corral);
/* What is long, and has no place to be broken at. */
await corral.make('layer', {
  name: 'long',
  scope: 'everything',
  classes: { ntp: { text: 'y'.repeat(200) } },
  parameters: { ['x'.repeat(60)]: ['z'.repeat(150)] },
  data: { [`profile::${'k'.repeat(90)}`]: 'v'.repeat(300) },
  secrets: { [`profile::${'s'.repeat(90)}`]: 'hush' },
});

/* Debian's package chromium. */
describe.skipIf(!existsSync(CHROMIUM))('no page is wider than its window', () => {
  let page: Page;
  let close: () => Promise<void>;
  beforeAll(async () => {
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
    close = () => browser.close();
    page = await browser.newPage();
  });
  afterAll(() => close());

  /** Paths of pages that are too wide. */
  async function tooWide(paths: readonly string[]): Promise<string[]> {
    const out: string[] = [];
    for (const path of paths) {
      const answer = await page.goto(`${corral.base}${path}`);
      if (answer?.status() !== 200) out.push(`${path}: ${answer?.status()}`);
      for (const width of WIDTHS) {
        await page.setViewportSize({ width, height: 800 });
        const wide = await page.evaluate('document.documentElement.scrollWidth');
        if (wide !== width) out.push(`${path}: ${String(wide)} of ${width}`);
      }
    }
    return out;
  }

  test('with a token: lists, things, forms, explanations and changes', async () => {
    await page.goto(`${corral.base}/login`);
    await page.click('summary:has-text("Log in with a token")');
    await page.fill('input[name=token]', ADMIN);
    await page.click('button:has-text("Log in with the token")');
    const paths = ['/', '/changes', '/changes/1', '/docs', '/nodes/hv1.example.com/explain', `/nodes/hv1.example.com/explain/profile::${'k'.repeat(90)}`];
    const { changes } = (await (await corral.request('/api/v1/changes?limit=1')).json()) as { changes: { number: number }[] };
    paths.push(`/changes/${changes[0]!.number}`, '/api/v1/layers/long/history', '/documents/hv1.example.com/diff', '/enc/hv1.example.com.html');
    for (const { route, resource } of corral.catalog.models) {
      paths.push(`/api/v1/${route}`);
      const rows = ((await (await corral.request(`/api/v1/${route}?limit=1`)).json()) as Record<string, { id?: number }[]>)[resource.plural]!;
      for (const { id } of rows) if (id !== undefined) paths.push(`/api/v1/${route}/${id}`, ...(editable(resource) ? [`/forms/${route}/${id}`] : []));
    }
    expect(await tooWide([...paths, '/api/v1/layers/long', '/forms/layers/long'])).toEqual([]);
  });

  test('of a person: the account', async () => {
    const { login_link: link } = (await corral.make('person', { name: 'mary', admin: true })) as { login_link: string };
    await page.context().clearCookies();
    await page.goto(new URL(link, corral.base).href);
    for (const input of await page.locator('input[type=password]').all()) await input.fill(PASSWORD);
    await page.click('main button[type=submit]');
    expect(await tooWide(['/account'])).toEqual([]);
  });
});

function editable({ readOnly, without }: { readonly readOnly?: boolean; readonly without?: readonly string[] }): boolean {
  return readOnly !== true && without?.includes('update') !== true;
}
