import { createHash, randomBytes } from 'node:crypto';
import type { Hooks } from '../../db/transaction.ts';

/** A new token: its kind leads it, so that people and scanners see what they have found; 256 random bits. */
export function newToken(kind: string): string {
  return `corral_${kind}_${randomBytes(32).toString('base64url')}`;
}

/** What is kept of a token. */
export function hashToken(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

export const tokenHooks: Hooks = {
  prepare: (_tx, input) => {
    const secret = newToken(String(input['kind']));
    /* Kept for `created`, which shows it once; not a property of the entity. */
    input['token'] = secret;
    const { token: _shown, ...values } = input;
    return { ...values, hash: hashToken(secret) };
  },
  created: (_tx, _id, input) => ({ token: input['token'] }),
};
