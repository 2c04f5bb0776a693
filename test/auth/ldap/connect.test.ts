import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ldapLogin, ldapTest } from '../../../src/auth/ldap/login.ts';
import type { StepReport } from '../../../src/auth/ldap/trace.ts';
import { ldapSchema, type LdapSettings } from '../../../src/kernel/config.ldap.ts';
import { authority, type Authority } from './certificates.ts';
import { freePort, hasSlapd, startSlapd, type Slapd } from './slapd.ts';
import { BASE, group, person, personDn, tree } from './tree.ts';
import { onTheWire } from './wire.ts';

describe.skipIf(!hasSlapd)('connections to LDAP servers', () => {
  let folder: string;
  let ca: Authority;
  let other: Authority;
  const entries = tree(person('ada'), group('staff', [personDn('ada')]));
  const running: Slapd[] = [];
  const start = async (name: string, certificate?: { cert: string; key: string }): Promise<Slapd> => {
    mkdirSync(join(folder, name));
    const slapd = await startSlapd(join(folder, name), entries, certificate);
    running.push(slapd);
    return slapd;
  };
  const settings = (urls: string | string[], more: object = {}): LdapSettings =>
    ldapSchema.parse({ urls, ca_file: ca.cert, bind_dn: `cn=corral,${BASE}`, bind_password: 'corral-secret', base: BASE, timeout: 1, ...more });
  const login = (urls: string | string[], more: object = {}): Promise<unknown> => ldapLogin(settings(urls, more), 'ada', 'ada-secret');
  const last = async (urls: string, more: object = {}): Promise<StepReport> => {
    const [test] = await ldapTest(settings(urls, more), 'ada', 'ada-secret');
    return test!.steps.at(-1)!;
  };
  const failed = { code: 'directory-failed', status: 503 };
  let good: Slapd;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'corral-ldap-tls-'));
    ca = authority(folder, 'ca');
    other = authority(folder, 'other');
    good = await start('good', ca.issue('good', 'IP:127.0.0.1,DNS:localhost'));
  });
  afterAll(async () => {
    for (const slapd of running) await slapd.stop();
    rmSync(folder, { recursive: true });
  });

  test('StartTLS and LDAPS, by address and by name', async () => {
    for (const url of [good.url, good.ldaps, good.url.replace('127.0.0.1', 'localhost'), good.ldaps.replace('127.0.0.1', 'localhost')])
      expect(await login(url), url).toMatchObject({ name: 'ada' });
  });

  test('a test tells every step', async () => {
    const [bound] = await ldapTest(settings(good.url), 'ada', 'ada-secret');
    expect(bound!.steps.map((one) => [one.step, one.ok])).toEqual(
      ['resolve', 'connect', 'start_tls', 'bind', 'search', 'user_bind', 'groups'].map((step) => [step, true]),
    );
    expect(bound).toMatchObject({ ok: true, person: { name: 'ada', groups: expect.arrayContaining(['staff']) } });
    const [found] = await ldapTest(settings(good.ldaps), 'ada');
    expect(found!.steps.map((one) => one.step)).toEqual(['resolve', 'connect', 'tls', 'bind', 'search', 'groups']);
    const [alone] = await ldapTest(settings(good.ldaps));
    expect(alone!.steps.at(-1)).toMatchObject({ step: 'search', ok: true, detail: `${BASE} is there` });
  });

  test.each([
    ['of another authority', () => other.issue('strange', 'IP:127.0.0.1'), /not to be trusted/],
    ['that has expired', () => ca.issue('expired', 'IP:127.0.0.1', [-10, -1]), /has expired/],
    ['that is not valid yet', () => ca.issue('early', 'IP:127.0.0.1', [2, 10]), /not valid yet/],
    ['of another name', () => ca.issue('named', 'DNS:ldap.example.com'), /is not for 127\.0\.0\.1/],
  ] as const)('a certificate %s is refused, with StartTLS and LDAPS', async (name, issue, said) => {
    const slapd = await start(name.replaceAll(' ', '-'), issue());
    const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
    for (const allow of [undefined, '0']) {
      if (allow !== undefined) process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = allow;
      try {
        for (const [url, step] of [
          [slapd.url, 'start_tls'],
          [slapd.ldaps, 'tls'],
        ] as const) {
          await expect(login(url)).rejects.toMatchObject(failed);
          expect(await last(url)).toMatchObject({ step, ok: false, detail: expect.stringMatching(said) });
        }
      } finally {
        if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
        else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before;
      }
    }
  });

  test('a server without StartTLS gets no password', async () => {
    const plain = await start('plain');
    const wire = await onTheWire(plain.port);
    try {
      await expect(login(wire.url)).rejects.toMatchObject(failed);
      expect(await last(wire.url)).toMatchObject({ step: 'start_tls', detail: expect.stringContaining('refused StartTLS') });
      expect(Buffer.concat(wire.sent).toString('latin1')).not.toContain('secret');
    } finally {
      await wire.stop();
    }
    expect(await login(plain.url, { start_tls: false })).toMatchObject({ name: 'ada' });
  });

  test('a connection that breaks is not made again without StartTLS', async () => {
    for (const cut of [2, 3, 4, 5, 6]) {
      let answers = 0;
      const wire = await onTheWire(good.port, (data, client) => {
        if (++answers === cut) client.destroy();
        return data;
      });
      try {
        await login(wire.url).catch((error: unknown) => expect(error).toMatchObject(failed));
        expect(wire.sent).toHaveLength(1);
        expect(wire.sent[0]!.toString('latin1')).not.toContain('secret');
      } finally {
        await wire.stop();
      }
    }
  });

  test('an answer put in before TLS is not taken for one within', async () => {
    /* A bind that succeeded, whose last field would swallow the true answer. */
    const forged = (id: number): Buffer => Buffer.from([0x30, 0x1a, 2, 1, id, 0x61, 0x15, 0x0a, 1, 0, 4, 0, 4, 14]);
    for (const id of [1, 2, 3, 4, 5]) {
      let first = true;
      const wire = await onTheWire(good.port, (data) => {
        const out = first ? Buffer.concat([data, forged(id)]) : data;
        first = false;
        return out;
      });
      try {
        const answer = await ldapLogin(settings(wire.url), 'ada', 'wrong').catch((error: unknown) => error);
        expect([undefined, 'directory-failed']).toContain((answer as { code?: string } | undefined)?.code);
      } finally {
        await wire.stop();
      }
    }
  });

  test('the next server is asked when one is down, hangs, or has a wrong certificate', async () => {
    const strange = await start('strange-again', other.issue('strange-again', 'IP:127.0.0.1'));
    const hanging = await start('hanging', ca.issue('hanging', 'IP:127.0.0.1'));
    const down = `ldap://127.0.0.1:${await freePort()}`;
    hanging.pause();
    try {
      expect(await login([down, good.url])).toMatchObject({ name: 'ada' });
      expect(await login([strange.ldaps, good.url])).toMatchObject({ name: 'ada' });
      expect(await login(['ldap://no-such-host.invalid', hanging.url, hanging.ldaps, good.ldaps], { timeout: 0.4 })).toMatchObject({ name: 'ada' });
      await expect(login([down, hanging.url], { timeout: 0.4 })).rejects.toMatchObject(failed);
      expect(await last(down)).toMatchObject({ step: 'connect', detail: expect.stringContaining('nothing listens there') });
      expect(await last(hanging.url, { timeout: 0.4 })).toMatchObject({ step: 'start_tls', ok: false });
      expect(await last(hanging.ldaps, { timeout: 0.4 })).toMatchObject({ step: 'tls', detail: expect.stringContaining('in time') });
      expect(await last('ldap://no-such-host.invalid')).toMatchObject({ step: 'resolve', ok: false });
    } finally {
      hanging.resume();
    }
  });

  test('a test says what is wrong in the settings', async () => {
    expect(await last(good.url, { bind_password: 'wrong' })).toMatchObject({ step: 'bind', detail: expect.stringContaining('refused bind_dn') });
    expect(await last(good.url, { bind_password: undefined })).toMatchObject({ step: 'bind', detail: 'bind_dn has no password' });
    expect(await last(good.url, { base: 'dc=example,dc=org' })).toMatchObject({ step: 'search', ok: false });
    expect(await last(good.url, { groups: { base: `ou=no,${BASE}` } })).toMatchObject({ step: 'groups', detail: expect.stringContaining('no such entry') });
    expect(await last(good.url, { ca_file: join(folder, 'none.pem') })).toMatchObject({ step: 'start_tls', detail: expect.stringContaining('cannot be read') });
    expect(await last(good.url.replace('ldap:', 'ldaps:'))).toMatchObject({ step: 'tls', ok: false });
    writeFileSync(join(folder, 'empty.pem'), '');
    expect(await last(good.url, { ca_file: join(folder, 'empty.pem') })).toMatchObject({ detail: expect.stringContaining('holds no certificate') });
    const [wrong] = await ldapTest(settings(good.url), 'ada', 'wrong');
    expect(wrong!.steps.at(-1)).toMatchObject({ step: 'user_bind', ok: false });
    const [nobody] = await ldapTest(settings(good.url), 'nobody');
    expect(nobody!.steps.at(-1)).toMatchObject({ step: 'search', detail: `no entry under ${BASE} matches (uid=nobody)` });
  });

  test('a wrong password of bind_dn is not tried on every server', async () => {
    const wires = [await onTheWire(good.port), await onTheWire(good.port)];
    try {
      await expect(
        login(
          wires.map((one) => one.url),
          { bind_password: 'wrong' },
        ),
      ).rejects.toMatchObject(failed);
      expect(wires.map((one) => one.sent.length)).toEqual([1, 0]);
    } finally {
      for (const wire of wires) await wire.stop();
    }
  });
});
