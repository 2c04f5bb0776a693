import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { corral, type Ran } from '../../cli/support.ts';
import { authority, type Authority } from './certificates.ts';
import { hasSlapd, startSlapd, type Slapd } from './slapd.ts';
import { BASE, group, GROUPS, person, personDn, tree } from './tree.ts';

test('corral ldap test says that nothing is set', async () => {
  expect(await corral(['ldap', 'test'])).toMatchObject({ code: 2, err: expect.stringContaining('no LDAP directory is set') });
});

describe.skipIf(!hasSlapd)('corral ldap test', () => {
  let folder: string;
  let ca: Authority;
  let slapd: Slapd;
  const run = (args: string[], more: object = {}, input = ''): Promise<Ran> => {
    const settings = { urls: slapd.url, ca_file: ca.cert, bind_dn: `cn=corral,${BASE}`, base: BASE, groups: { base: GROUPS }, ...more };
    return corral(['ldap', 'test', ...args], { env: { CORRAL_LDAP: JSON.stringify(settings), CORRAL_LDAP_BIND_PASSWORD: 'corral-secret' }, input });
  };

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'corral-ldap-cli-'));
    ca = authority(folder, 'ca');
    mkdirSync(join(folder, 'slapd'));
    slapd = await startSlapd(join(folder, 'slapd'), tree(person('ada'), group('staff', [personDn('ada')])), ca.issue('ldap', 'IP:127.0.0.1'));
  });
  afterAll(async () => {
    await slapd.stop();
    rmSync(folder, { recursive: true });
  });

  test('shows the steps, the person and the groups', async () => {
    const { code, out } = await run(['ada', '--password'], {}, 'ada-secret\n');
    expect(code).toBe(0);
    for (const line of [
      /^ldap:\/\/127/m,
      /ok +start_tls +TLSv1\.3, certificate of ldap/,
      /ok +user_bind +the password of uid=ada/,
      /groups +1: staff/,
      /email +ada@example\.com/,
    ])
      expect(out).toMatch(line);
    expect(out).not.toContain('secret');
    expect(await run([])).toMatchObject({ code: 0, out: expect.stringContaining(`${BASE} is there`) });
  });

  test('says which step failed and what to do', async () => {
    const wrong = await run(['ada', '--password'], {}, 'wrong\n');
    expect(wrong).toMatchObject({ code: 1, err: expect.stringContaining('1 of 1 servers failed') });
    expect(wrong.out).toMatch(/failed +user_bind +the password is wrong/);
    const strange = await run([], { ca_file: undefined });
    expect(strange.out).toMatch(/failed +start_tls +the certificate of the server is not to be trusted \(\w+\)\n +Set ca_file/);
    const json = await run(['ada', '-o', 'json'], { urls: ['ldap://127.0.0.1:1', slapd.url] });
    expect(json.code).toBe(1);
    expect(JSON.parse(json.out)).toMatchObject([
      { ok: false, steps: [{ step: 'resolve' }, { step: 'connect', ok: false }] },
      { ok: true, person: { name: 'ada' } },
    ]);
  });
});
