import { generateKeyPairSync, sign } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { expect, test } from 'vitest';
import { enrolStatement } from '../../src/modules/control/enrolment.verbs.ts';
import { json, send, smallFleet, HV } from '../http/samples.ts';
import { ADMIN, testCorral } from '../support/corral.ts';

const CHROMIUM = '/usr/bin/chromium';
/** Where pictures of the pages go, for who wants to look. */
const SHOTS = process.env['CORRAL_SHOTS'];

test.skipIf(!existsSync(CHROMIUM))('in Chromium an operator approves a host, and puts it out', async () => {
  const corral = await testCorral();
  await smallFleet(corral);
  const token = String((await corral.make('enrolment_token', { name: 'hv0', pattern: 'hv*.example.com' }))['token']);
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const time = new Date().toISOString();
  const body = {
    token,
    fqdn: HV,
    public_key: publicKey.export({ format: 'pem', type: 'spki' }),
    time,
    proof: sign(null, Buffer.from(enrolStatement(HV, token, time)), privateKey).toString('base64'),
  };
  const { fingerprint } = await json<{ fingerprint: string }>(corral.request('/enrolments', { ...send('POST', body), token: null }));
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  try {
    for (const colorScheme of ['light', 'dark'] as const) {
      const context = await browser.newContext({ viewport: { width: 390, height: 800 }, colorScheme });
      await context.addCookies([{ name: 'corral_token', value: ADMIN, url: corral.base }]);
      const page = await context.newPage();
      const look = async (name: string): Promise<void> => {
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
        if (SHOTS === undefined) return;
        mkdirSync(SHOTS, { recursive: true });
        await page.screenshot({ path: `${SHOTS}/${name}-${colorScheme}.png`, fullPage: true });
      };
      await page.goto(`${corral.base}/api/v1/enrolments?state=${colorScheme === 'light' ? 'pending' : 'approved'}`);
      await look('list');
      await page.getByRole('link', { name: HV }).first().click();
      expect(await page.textContent('main')).toContain(fingerprint);
      await look('thing');
      if (colorScheme === 'light') {
        await page.getByRole('button', { name: 'Approve' }).click();
        await page.waitForSelector('text=approved');
        expect(await page.getByRole('button', { name: 'Approve' }).count()).toBe(0);
      } else {
        await page.getByText('Put out…').click();
        await look('reject');
        await page.getByRole('button', { name: 'Put out' }).click();
        await page.waitForSelector('text=rejected');
        expect(await page.getByText('Put out…').count()).toBe(0);
      }
      await context.close();
    }
  } finally {
    await browser.close();
  }
});
