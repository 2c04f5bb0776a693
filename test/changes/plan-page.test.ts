import { existsSync } from 'node:fs';
import { chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hypervisors } from '../modules/fleet.ts';
import { ADMIN, testCorral } from '../support/corral.ts';

const CHROMIUM = '/usr/bin/chromium';
const corral = await testCorral();
const [one] = (await hypervisors(corral, 2)) as [string];
const lastChange = async (): Promise<unknown> => (await corral.pool.query('select message from change order by number desc limit 1')).rows[0];

/* Debian's package chromium. */
describe.skipIf(!existsSync(CHROMIUM))('a person who plans', () => {
  let page: Page;
  let close: () => Promise<void>;
  beforeAll(async () => {
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
    close = () => browser.close();
    page = await browser.newPage({ viewport: { width: 390, height: 800 } });
    await page.goto(`${corral.base}/login`);
    await page.click('summary:has-text("Log in with a token")');
    await page.fill('input[name=token]', ADMIN);
    await page.click('button:has-text("Log in with the token")');
  });
  afterAll(() => close());

  test('sees what a change does, and carries it out with a word on why', async () => {
    const { id } = await corral.make('vm', { name: 'web', cores: 2, cores_max: 8, ram: 2 ** 30, method: 'KVM', hypervisor: one });
    await page.goto(`${corral.base}/forms/vms/${String(id)}`);
    await page.fill('input[name=cores]', '4');
    await page.click('button:has-text("Plan")');
    expect(await page.textContent('h1')).toBe('Plan');
    expect(await page.textContent('main')).toContain(`plug 2 vCPUs into vm-${String(id)} (web)`);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
    expect((await corral.pool.query('select cores from vm where id = $1', [id])).rows).toEqual([{ cores: 2 }]);
    await page.fill('input[name=_message]', 'Mehr Kerne für web');
    await page.click('button:has-text("Do it")');
    expect(new URL(page.url()).pathname).toBe(`/api/v1/vms/${String(id)}`);
    expect((await corral.pool.query('select cores from vm where id = $1', [id])).rows).toEqual([{ cores: 4 }]);
    expect(await lastChange()).toEqual({ message: 'Mehr Kerne für web' });
  });

  test('is shown the new plan when it is another by then', async () => {
    await page.goto(`${corral.base}/forms/vms`);
    await page.fill('input[name=cores]', '1');
    await page.fill('input[name=ram]', '1 GiB');
    await page.selectOption('select[name=method]', 'KVM');
    await page.click('button:has-text("Plan")');
    await corral.make('vm', { name: 'beside', cores: 1, ram: 2 ** 30, method: 'KVM', hypervisor: one });
    const before = await lastChange();
    await page.click('button:has-text("Do it")');
    expect(await page.textContent('.errors')).toContain('The effect is no longer the one that was planned');
    expect(await lastChange()).toEqual(before);
    await page.click('button:has-text("Do it")');
    expect(new URL(page.url()).pathname).toMatch(/^\/api\/v1\/vms\/\d+$/);
  });

  test('plans a deletion, and gives a secret again', async () => {
    await corral.make('ceph_cluster', { name: 'ceph', public_network: '192.0.2.0/24' });
    await page.goto(`${corral.base}/forms/ceph-keys`);
    const secret = `AQ${'a'.repeat(36)}==`;
    await page.selectOption('select[name=ceph_cluster]', 'ceph');
    await page.fill('input[name=entity]', 'client.x');
    await page.locator('[name=secret]').evaluate((input, value) => ((input as unknown as { value: string }).value = value), secret);
    await page.click('button:has-text("Plan")');
    expect(await page.content()).not.toContain(secret);
    await page.fill('input[name=secret]', secret);
    await page.click('button:has-text("Do it")');
    expect(new URL(page.url()).pathname).toMatch(/^\/api\/v1\/ceph-keys\/\d+$/);
    await page.click('summary:has-text("Delete")');
    await page.click('form button:has-text("Plan")');
    await page.click('button:has-text("Do it")');
    expect(new URL(page.url()).pathname).toBe('/api/v1/ceph-keys');
    expect((await corral.pool.query(`select from ceph_key where entity = 'client.x'`)).rowCount).toBe(0);
  });
});
