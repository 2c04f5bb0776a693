import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Encryption of secrets at rest: AES-256-GCM with a random 96-bit nonce for each value. The form is
 * `v1.<key id>.<nonce>.<tag>.<ciphertext>`, the last three in base64url; the key id is the first four
 * bytes of the key's SHA-256, so that a wrong key is told from damage.
 */
export interface SecretBox {
  /** Encrypts text; `context` (where it is kept) must be the same to decrypt. */
  seal(text: string, context: string): string;
  /** @throws Error when the key is another, or the value was changed or moved */
  open(sealed: string, context: string): string;
}

export function secretBox(key: Buffer): SecretBox {
  const id = createHash('sha256').update(key).digest('hex').slice(0, 8);
  return {
    seal(text, context) {
      const nonce = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context));
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return ['v1', id, nonce.toString('base64url'), cipher.getAuthTag().toString('base64url'), body.toString('base64url')].join('.');
    },
    open(sealed, context) {
      const [form, keyId, nonce = '', tag = '', body = ''] = sealed.split('.');
      if (form !== 'v1') throw new Error('a secret in the database is of an unknown form');
      if (keyId !== id) {
        throw new Error(`a secret in the database was encrypted with key ${keyId}, and this process has key ${id}: give it the right CORRAL_ENCRYPTION_KEY`);
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
