import { createHash, randomInt } from 'node:crypto';
import type { SecretBox } from '../../kernel/secret.ts';
import { newTotpSecret, stepOf, totpContext } from './totp.ts';
import type { Queryable } from './types.ts';

/** Recovery codes that a person gets. */
const CODES = 10;
/** Without those that look like others. */
const LETTERS = 'abcdefghjkmnpqrstuvwxyz23456789';

/** 79 random bits: as good as a key, so that a quick hash will do. */
const newCode = (): string => Array.from({ length: 4 }, () => Array.from({ length: 4 }, () => LETTERS[randomInt(LETTERS.length)]).join('')).join('-');

const hashCode = (person: number, code: string): string =>
  createHash('sha256')
    .update(`recovery:${person}:${code.toLowerCase().replaceAll(/[^a-z0-9]/g, '')}`)
    .digest('hex');

/** Whether a person has a second factor. */
export async function hasFactor(db: Queryable, person: number): Promise<boolean> {
  return (await db.query('select from person_secret where person_id = $1 and totp is not null', [person])).rowCount === 1;
}

/** Begins to set up an authenticator app: makes a secret, in place of one that was begun before. */
export async function beginTotp(db: Queryable, secrets: SecretBox, person: number): Promise<string> {
  const secret = newTotpSecret();
  await db.query('insert into person_secret (person_id, totp_new) values ($1, $2) on conflict (person_id) do update set totp_new = excluded.totp_new', [
    person,
    secrets.seal(secret, totpContext(person)),
  ]);
  return secret;
}

/** The secret that is being set up. */
export async function begunTotp(db: Queryable, secrets: SecretBox, person: number): Promise<string | undefined> {
  const { rows } = await db.query<{ totp_new: string | null }>('select totp_new from person_secret where person_id = $1', [person]);
  return rows[0]?.totp_new == null ? undefined : secrets.open(rows[0].totp_new, totpContext(person));
}

/**
 * Ends setting it up, with the first code.
 * @returns the recovery codes, shown this once; undefined: the code is wrong
 */
export async function confirmTotp(db: Queryable, secrets: SecretBox, person: number, code: string): Promise<string[] | undefined> {
  const { rows } = await db.query<{ totp_new: string | null }>('select totp_new from person_secret where person_id = $1', [person]);
  const sealed = rows[0]?.totp_new;
  if (sealed == null) return undefined;
  const step = stepOf(secrets.open(sealed, totpContext(person)), code, Date.now());
  if (step === undefined) return undefined;
  const codes = Array.from({ length: CODES }, newCode);
  const { rowCount } = await db.query(
    'update person_secret set totp = totp_new, totp_new = null, totp_step = $3, recovery = $4 where person_id = $1 and totp_new = $2',
    [person, sealed, step, codes.map((one) => hashCode(person, one))],
  );
  return rowCount === 1 ? codes : undefined;
}

/**
 * Takes a code: of the app, which is taken once, or a recovery code, which is used up.
 * @returns which it was; undefined: it is wrong
 */
export async function takeCode(db: Queryable, secrets: SecretBox, person: number, code: string): Promise<'totp' | 'recovery' | undefined> {
  const { rows } = await db.query<{ totp: string | null }>('select totp from person_secret where person_id = $1', [person]);
  const sealed = rows[0]?.totp;
  if (sealed == null) return undefined;
  const step = stepOf(secrets.open(sealed, totpContext(person)), code, Date.now());
  if (step !== undefined) {
    const { rowCount } = await db.query('update person_secret set totp_step = $3 where person_id = $1 and totp = $2 and totp_step < $3', [
      person,
      sealed,
      step,
    ]);
    return rowCount === 1 ? 'totp' : undefined;
  }
  const hash = hashCode(person, code);
  const { rowCount } = await db.query('update person_secret set recovery = array_remove(recovery, $2) where person_id = $1 and $2 = any(recovery)', [
    person,
    hash,
  ]);
  return rowCount === 1 ? 'recovery' : undefined;
}

/** New recovery codes in place of the old ones. */
export async function renewCodes(db: Queryable, person: number): Promise<string[]> {
  const codes = Array.from({ length: CODES }, newCode);
  await db.query('update person_secret set recovery = $2 where person_id = $1 and totp is not null', [person, codes.map((one) => hashCode(person, one))]);
  return codes;
}

/** Takes the second factor away. */
export async function removeTotp(db: Queryable, person: number): Promise<boolean> {
  const { rowCount } = await db.query(`update person_secret set totp = null, totp_new = null, recovery = '{}' where person_id = $1 and totp is not null`, [
    person,
  ]);
  return rowCount === 1;
}
