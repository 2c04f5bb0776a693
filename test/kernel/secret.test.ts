import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { encryptionKey, newCephKey, secretBox } from '../../src/kernel/secret.ts';

const box = secretBox(randomBytes(32));

describe('a sealed secret', () => {
  test('opens to what it was, where it was kept', () => {
    for (const text of ['', 'AQ==', 'ü🐎\n', 'x'.repeat(100_000)]) expect(box.open(box.seal(text, 'here'), 'here')).toBe(text);
  });

  test('does not show the text, and is never the same twice', () => {
    const sealed = [box.seal('plain', 'here'), box.seal('plain', 'here')];
    expect(sealed[0]).not.toBe(sealed[1]);
    expect(sealed.join()).not.toContain('plain');
    expect(sealed.join()).not.toContain(Buffer.from('plain').toString('base64url'));
  });

  test('does not open elsewhere', () => {
    expect(() => box.open(box.seal('x', 'ceph_key:1:client.a'), 'ceph_key:1:client.b')).toThrow();
  });

  test('does not open with another key, and says which key it wants', () => {
    expect(() => secretBox(randomBytes(32)).open(box.seal('x', 'here'), 'here')).toThrow(/CORRAL_ENCRYPTION_KEY/);
  });

  test('does not open when any part of it was changed', () => {
    const parts = box.seal('a secret', 'here').split('.');
    for (const [i, part] of parts.entries()) {
      const changed = parts.with(i, (part.startsWith('A') ? 'B' : 'A') + part.slice(1)).join('.');
      expect(() => box.open(changed, 'here')).toThrow();
      expect(() => box.open(parts.with(i, '').join('.'), 'here')).toThrow();
      expect(() => box.open(parts.slice(0, i).join('.'), 'here')).toThrow();
    }
  });

  test('does not open with a tag that was cut short', () => {
    const parts = box.seal('a secret', 'here').split('.');
    const short = Buffer.from(parts[3]!, 'base64url').subarray(0, 4).toString('base64url');
    expect(() => box.open(parts.with(3, short).join('.'), 'here')).toThrow();
  });
});

describe('the key of the installation', () => {
  const folder = mkdtempSync(join(tmpdir(), 'corral-key-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('is the configured one', () => {
    expect(encryptionKey(Buffer.alloc(32, 7).toString('base64'), join(folder, 'none')).equals(Buffer.alloc(32, 7))).toBe(true);
  });

  test('is made once, for its owner only, and kept', () => {
    const data = join(folder, 'new');
    const key = encryptionKey(undefined, data);
    expect([key.length, encryptionKey(undefined, data).equals(key)]).toEqual([32, true]);
    expect(statSync(join(data, 'encryption.key')).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(data, 'encryption.key'), 'utf8').trim()).toBe(key.toString('base64'));
  });

  test('is refused when the file is damaged', () => {
    const file = join(folder, 'encryption.key');
    writeFileSync(file, 'short\n');
    chmodSync(file, 0o600);
    expect(() => encryptionKey(undefined, folder)).toThrow(/32 bytes/);
  });
});

test('a new Ceph key has the form of ceph-authtool', () => {
  const keys = Array.from({ length: 50 }, newCephKey);
  expect(new Set(keys).size).toBe(50);
  for (const key of keys) {
    expect(key).toMatch(/^AQ[A-Za-z0-9+/]{36}==$/);
    const raw = Buffer.from(key, 'base64');
    const now = Date.now() / 1000;
    expect([raw.length, raw.readUInt16LE(0), raw.readUInt32LE(6), raw.readUInt16LE(10)]).toEqual([28, 1, 0, 16]);
    expect(Math.abs(raw.readUInt32LE(2) - now)).toBeLessThan(600);
  }
});
