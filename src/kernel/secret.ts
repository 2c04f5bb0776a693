import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, renameSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Hidden } from './hidden.ts';

/**
 * Encryption of secrets at rest: AES-256-GCM with a random 96-bit nonce for each value. The form is
 * `v1.<key id>.<nonce>.<tag>.<ciphertext>`, the last three in base64url; the key id is the first four
 * bytes of the key's SHA-256, so that a wrong key is told from damage.
 */
export interface SecretBox {
  /** Id of the key that new values are encrypted with. */
  readonly keyId: string;
  /** Encrypts text; `context` (where it is kept) must be the same to decrypt. */
  seal(text: string, context: string): string;
  /** @throws Error when the key is another, or the value was changed or moved */
  open(sealed: string, context: string): string;
}

/** The key that new values are encrypted with, and older ones that values are still opened with. */
export interface Keys {
  readonly current: Buffer;
  readonly old: readonly Buffer[];
}

/** The first four bytes of its SHA-256, in hexadecimal. */
export const keyIdOf = (key: Buffer): string => createHash('sha256').update(key).digest('hex').slice(0, 8);

/** The id of the key that a value was sealed with. */
export const keyIdOfSealed = (sealed: string): string => sealed.split('.')[1] ?? '';

/**
 * @param reread gives the keys when they may have changed since: keys in files are rotated under running processes. `unknown`: a value
 *   was sealed with a key that is not there
 */
export function secretBox(keys: Buffer | Keys, reread: (unknown: boolean) => Keys | undefined = () => undefined): SecretBox {
  let current!: { readonly key: Buffer; readonly id: string };
  let known!: ReadonlyMap<string, Buffer>;
  const take = (next: Keys): void => {
    current = { key: next.current, id: keyIdOf(next.current) };
    known = new Map([...next.old, next.current].map((key) => [keyIdOf(key), key]));
  };
  const refresh = (unknown: boolean): void => {
    const next = reread(unknown);
    if (next) take(next);
  };
  take(Buffer.isBuffer(keys) ? { current: keys, old: [] } : keys);
  return {
    get keyId() {
      refresh(false);
      return current.id;
    },
    seal(text, context) {
      refresh(false);
      const nonce = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', current.key, nonce).setAAD(Buffer.from(context));
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return ['v1', current.id, nonce.toString('base64url'), cipher.getAuthTag().toString('base64url'), body.toString('base64url')].join('.');
    },
    open(sealed, context) {
      const [form, keyId = '', nonce = '', tag = '', body = ''] = sealed.split('.');
      if (form !== 'v1') throw new Error('a secret in the database is of an unknown form');
      if (!known.has(keyId)) refresh(true);
      const key = known.get(keyId);
      if (!key) {
        throw new Error(
          `a secret in the database was encrypted with key ${keyId}, and this process has key ${[...known.keys()].join(', ')}: give it the right CORRAL_ENCRYPTION_KEY, or the older key in CORRAL_ENCRYPTION_KEY_OLD`,
        );
      }
      const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(nonce, 'base64url'), { authTagLength: 16 }).setAAD(Buffer.from(context));
      decipher.setAuthTag(Buffer.from(tag, 'base64url'));
      return Buffer.concat([decipher.update(Buffer.from(body, 'base64url')), decipher.final()]).toString('utf8');
    },
  };
}

/** The key that was configured, else the one in `<data>/encryption.key`, made (mode 0600) when missing. */
export function encryptionKey(configured: string | undefined, data: string): Buffer {
  if (configured !== undefined) return Buffer.from(configured, 'base64');
  const file = join(data, 'encryption.key');
  mkdirSync(data, { recursive: true });
  if (!existsSync(file)) {
    /* Written beside and linked, so that a process killed here, or a second one, leaves a whole key. */
    const fresh = `${file}.${process.pid}`;
    writeFileSync(fresh, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
    try {
      linkSync(fresh, file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    } finally {
      unlinkSync(fresh);
    }
  }
  const key = Buffer.from(readFileSync(file, 'utf8').trim(), 'base64');
  if (key.length !== 32) throw new Error(`${file} must hold 32 bytes in base64`);
  return key;
}

/** Keys of a file, one on a line. */
function keysIn(file: string): Buffer[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split(/[\s,]+/)
    .filter((text) => text !== '')
    .map((text) => {
      const key = Buffer.from(text, 'base64');
      if (key.length !== 32) throw new Error(`${file} must hold keys of 32 bytes in base64`);
      return key;
    });
}

interface KeySettings {
  readonly encryption_key?: Hidden | undefined;
  readonly encryption_key_old?: Hidden | undefined;
  readonly data: string;
}

/** All keys of this installation: the current one, and those of the setting and of `<data>/encryption.key.old` to open older values with. */
export function installationKeys({ encryption_key, encryption_key_old, data }: KeySettings): Keys {
  const configured = (encryption_key_old?.reveal() ?? '').split(',').filter((text) => text !== '');
  return {
    current: encryptionKey(encryption_key?.reveal(), data),
    old: [...configured.map((text) => Buffer.from(text, 'base64')), ...keysIn(join(data, 'encryption.key.old'))],
  };
}

/** The box of this installation. It notices when `corral keys rotate --generate` changes the files under it. */
export function installationBox(settings: KeySettings): SecretBox {
  const file = join(settings.data, 'encryption.key');
  const stamp = (): number => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  let seen = 0;
  const read = (): Keys => {
    const keys = installationKeys(settings);
    seen = stamp();
    return keys;
  };
  return secretBox(read(), (unknown) => (unknown || (settings.encryption_key === undefined && stamp() !== seen) ? read() : undefined));
}

/**
 * Makes a new `<data>/encryption.key`, and adds the one that was there to `encryption.key.old`. The old one is kept first, so
 * that a process killed in between has lost nothing.
 */
export function generateKey(data: string): void {
  const current = encryptionKey(undefined, data);
  const write = (name: string, text: string): void => {
    const file = join(data, name);
    const fresh = `${file}.${process.pid}`;
    writeFileSync(fresh, text, { mode: 0o600, flush: true });
    renameSync(fresh, file);
  };
  const old = keysIn(join(data, 'encryption.key.old')).filter((key) => !key.equals(current));
  write('encryption.key.old', [current, ...old].map((key) => `${key.toString('base64')}\n`).join(''));
  write('encryption.key', `${randomBytes(32).toString('base64')}\n`);
}

/**
 * A new Ceph key in Ceph's own form: base64 of a little-endian header (type 1 AES, seconds, nanoseconds,
 * length 16) and 16 random bytes, as `ceph-authtool --gen-print-key` makes (src/auth/Crypto.cc).
 */
export function newCephKey(): string {
  const header = Buffer.alloc(12);
  header.writeUInt16LE(1, 0);
  header.writeUInt32LE(Math.floor(Date.now() / 1000), 2);
  header.writeUInt32LE(0, 6);
  header.writeUInt16LE(16, 10);
  return Buffer.concat([header, randomBytes(16)]).toString('base64');
}
