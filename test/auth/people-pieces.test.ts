import { describe, expect, test } from 'vitest';
import { checkPassword, hashPassword, weakness } from '../../src/auth/people/passwords.ts';
import { hashSession, sessionCookie } from '../../src/auth/people/sessions.ts';
import { addressKey } from '../../src/auth/people/throttle.ts';
import { fromBase32, newTotpSecret, otpauthUri, stepAt, stepOf, toBase32, totpCode } from '../../src/auth/people/totp.ts';

describe('passwords', () => {
  test('are checked as the reference implementation of Argon2 hashes them', async () => {
    /* From its own tests: argon2id, v=19, 2 passes, 64 MiB, "password", "somesalt". */
    const reference = '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc';
    expect(await checkPassword('password', reference)).toEqual({ right: true, stale: true });
    expect(await checkPassword('passwore', reference)).toEqual({ right: false, stale: false });
  });

  test('are kept in PHC form, salted, with parameters that are seen to be old', async () => {
    const [one, two, old] = await Promise.all([hashPassword('x'), hashPassword('x'), hashPassword('x', { memory: 8192, passes: 1, parallelism: 1 })]);
    expect(one).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
    expect(one).not.toBe(two);
    expect(await checkPassword('x', one)).toEqual({ right: true, stale: false });
    expect(await checkPassword('x', old)).toEqual({ right: true, stale: true });
    for (const none of [null, undefined]) expect(await checkPassword('x', none)).toEqual({ right: false, stale: false });
  });

  test('are the same however an accent is typed', async () => {
    expect((await checkPassword('schöne grüße', await hashPassword('scho\u0308ne gru\u0308ße'))).right).toBe(true);
  });

  test('wait for their turn, and are refused when too many wait', async () => {
    const how = { memory: 1024, passes: 1, parallelism: 1 };
    const ran = await Promise.allSettled(Array.from({ length: 150 }, () => hashPassword('x', how)));
    const refused = ran.filter((one) => one.status === 'rejected').map((one) => (one.reason as { code: string }).code);
    expect([refused.length, new Set(refused)]).toEqual([48, new Set(['unavailable'])]);
    expect(await hashPassword('x', how)).toMatch(/^\$argon2id/);
  });

  test.each([
    ['short', /at least 12/],
    ['elevenchars', /at least 12/],
    ['𝒳'.repeat(11), /at least 12/],
    ['x'.repeat(201), /at most 200/],
    ['jane.doe.long', /must not be the name/],
    ['JANE.doe.long', /must not be the name/],
    ['Jane Doe the Long', /must not be the name/],
    ['jane@example.com', /must not be the name/],
    ['Password1234', /tried first/],
    ['123456789012', /tried first/],
    ['aaaaaaaaaaaaaaaa', /tried first/],
    ['abcabcabcabcabc', /tried first/],
  ])('%s is refused', (password, why) => {
    expect(weakness(password, { name: 'jane.doe.long', fullName: 'Jane Doe the Long', email: 'jane@example.com' })).toMatch(why);
  });

  test.each(['a horse that eats batteries', 'xkcdxkcdxkcd9', 'только слова', 'x1'.repeat(5) + 'yz', '𝒳𝒴'.repeat(6) + 'z'])('%s is taken', (password) => {
    expect(weakness(password, { name: 'jane' })).toBeUndefined();
  });
});

describe('codes of an app', () => {
  /* RFC 6238, appendix B, SHA-1. */
  const key = Buffer.from('12345678901234567890');
  test.each([
    [59, '94287082'],
    [1_111_111_109, '07081804'],
    [1_111_111_111, '14050471'],
    [1_234_567_890, '89005924'],
    [2_000_000_000, '69279037'],
    [20_000_000_000, '65353130'],
  ])('at %i seconds it is %s', (seconds, code) => {
    expect(totpCode(key, stepAt(seconds * 1000), 8)).toBe(code);
  });

  test('are taken one step before and after, and not further away', () => {
    const secret = newTotpSecret();
    const now = 1_800_000_000_000;
    const step = stepAt(now);
    for (const away of [-2, -1, 0, 1, 2]) {
      const code = totpCode(fromBase32(secret), step + away);
      const same = [-1, 0, 1].map((one) => totpCode(fromBase32(secret), step + one));
      expect([away, stepOf(secret, code, now) !== undefined]).toEqual([away, same.includes(code)]);
    }
    expect(stepOf(secret, ` ${totpCode(fromBase32(secret), step).replace(/^(...)/, '$1 ')} `, now)).toBe(step);
    for (const code of ['', '12345', '1234567', 'abcdef', '١٢٣٤٥٦']) expect(stepOf(secret, code, now)).toBeUndefined();
  });

  test('secrets are in base32 as RFC 4648 has it', () => {
    expect(toBase32(Buffer.from('foobar'))).toBe('MZXW6YTBOI');
    expect(fromBase32('MZXW6YTBOI').toString()).toBe('foobar');
    expect(newTotpSecret()).toMatch(/^[A-Z2-7]{32}$/);
    expect(otpauthUri('ABC', 'jane+x@example.com', 'My Corral')).toBe(
      'otpauth://totp/My%20Corral:jane%2Bx%40example.com?secret=ABC&issuer=My%20Corral&algorithm=SHA1&digits=6&period=30',
    );
  });
});

describe('what attempts and sessions are known by', () => {
  test.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::'],
    ['2001:db8:1:2:ffff::1', '2001:db8:1:2::'],
    ['garbage', 'garbage'],
  ])('%s counts as %s', (address, key) => {
    expect(addressKey(address)).toBe(key);
  });

  test('a session of TLS is none under the name without the prefix', () => {
    const value = 'x'.repeat(43);
    expect(hashSession('__Host-corral_session', value)).not.toEqual(hashSession('corral_session', value));
    expect(sessionCookie(`a=1; corral_session=${value}; __Host-corral_session=${value}`)).toBe(`__Host-corral_session=${value}`);
    expect(sessionCookie(`xcorral_session=${value}`)).toBeUndefined();
    expect(sessionCookie(`corral_session=${value}x`)).toBeUndefined();
    expect(sessionCookie(undefined)).toBeUndefined();
  });
});
