import { existsSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { chromium, type Browser as Chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeLink } from '../../src/modules/people/person.verbs.ts';
import { testCorral } from '../support/corral.ts';
import { codeOf, PASSWORD } from './people-support.ts';

const CHROMIUM = '/usr/bin/chromium';
/* For a browser `localhost` is another site than 127.0.0.1: this one plays a provider, and an attacker. */
let elsewhere = '';
let back = '';
const corral = await testCorral(
  {},
  {
    login: {
      oidc: {
        label: 'Elsewhere',
        start: async (next) => ({ url: `${elsewhere}/authorize`, cookie: Buffer.from(next).toString('base64url') }),
        logout: async () => `${elsewhere}/out`,
        finish: async (cookie) => ({
          directory: { source: 'oidc', subject: 'x', name: 'visitor', groups: [] },
          next: Buffer.from(cookie!, 'base64url').toString(),
        }),
      },
    },
  },
);

/* Debian's package chromium. */
describe.skipIf(!existsSync(CHROMIUM))('in a browser', () => {
  let browser: Chromium;
  let page: Page;
  let server: Server;
  const complaints: string[] = [];
  beforeAll(async () => {
    server = createServer((request, response) => {
      if (request.url === '/authorize') {
        response.setHeader('content-type', 'text/html').end(`<a id="back" href="${back}">I agree</a>`);
      } else {
        const form = (action: string): string => `<form method="post" action="${corral.base}${action}"><button>${action}</button></form>`;
        response.setHeader('content-type', 'text/html').end(['/logout', '/account/sessions', '/login'].map(form).join(''));
      }
    });
    await new Promise<void>((done) => void server.listen(0, done));
    elsewhere = `http://localhost:${(server.address() as { port: number }).port}`;
    back = `${corral.base}/login/oidc/callback?code=good`;
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
    page = await browser.newPage({ viewport: { width: 390, height: 800 } });
    page.on('console', (message) => {
      if (/content security|csp/i.test(message.text())) complaints.push(message.text());
    });
  });
  afterAll(async () => {
    await browser.close();
    server.closeAllConnections();
    server.close();
  });
  const path = (): string => new URL(page.url()).pathname;
  const width = (): Promise<unknown> => page.evaluate('document.documentElement.scrollWidth');

  test('the first link makes the first person, who sets up a second factor and logs in with it', async () => {
    await page.goto(`${corral.base}/login/first?link=${await makeLink(corral.db(), undefined)}`);
    await page.fill('#name', 'jane');
    await page.fill('#password', PASSWORD);
    await page.fill('#repeated', PASSWORD);
    await page.click('main button');
    expect(path()).toBe('/');
    await page.click('header a[href="/account"]');
    await page.fill('#factor-current', PASSWORD);
    await page.click('button:has-text("Set it up")');
    expect(await page.locator('svg.qr path').count()).toBe(1);
    expect(await width()).toBe(390);
    await page.click('summary:has-text("Type it in")');
    const secret = (await page.textContent('.steps .secret'))!.replaceAll(' ', '');
    await page.fill('#code', codeOf(secret));
    await page.click('main form button');
    expect(await page.locator('.codes li').count()).toBe(10);
    await page.click('text=I have them');
    expect(path()).toBe('/account');
    await page.click('text=Log out');
    expect(path()).toBe('/login');
    await page.goto(`${corral.base}/changes`);
    await page.fill('#name', 'jane');
    await page.fill('#password', PASSWORD);
    await page.keyboard.press('Enter');
    await page.waitForURL('**/login/factor*');
    await page.fill('#code', codeOf(secret, 1));
    await page.keyboard.press('Enter');
    await page.waitForURL('**/changes');
    const cookies = await page.context().cookies();
    expect(cookies.map(({ name, httpOnly, sameSite }) => ({ name, httpOnly, sameSite }))).toEqual([
      { name: 'corral_session', httpOnly: true, sameSite: 'Lax' },
    ]);
  });

  test('a page of another site can neither log out nor end sessions', async () => {
    /* The cookie does not even come along where it is asked for. */
    for (const [action, status] of [
      ['/logout', 403],
      ['/account/sessions', 401],
      ['/login', 403],
    ] as const) {
      await page.goto(`${elsewhere}/attack`);
      const [answer] = await Promise.all([page.waitForResponse(`${corral.base}${action}`), page.click(`button:text-is("${action}")`)]);
      expect([action, answer.status()]).toEqual([action, status]);
    }
    await page.goto(`${corral.base}/account`);
    expect(path()).toBe('/account');
    await page.click('text=Log out');
  });

  test('the way back from the provider, another site, ends on the page that was wanted, logged in', async () => {
    await page.goto(`${corral.base}/account`);
    expect(path()).toBe('/login');
    await page.click('text=Log in with Elsewhere');
    expect(page.url()).toBe(`${elsewhere}/authorize`);
    await page.click('#back');
    await page.waitForURL('**/account');
    expect(await page.textContent('main')).toContain('visitor');
    /* Out of both: no form of ours may lead elsewhere, and the browser gets there all the same. */
    await page.click('text=Log out');
    await page.waitForURL(`${elsewhere}/out`);
    expect((await page.context().cookies()).map(({ name }) => name)).toEqual([]);
    await page.goto(`${corral.base}/account`);
    expect(path()).toBe('/login');
    expect(complaints).toEqual([]);
  });
});
