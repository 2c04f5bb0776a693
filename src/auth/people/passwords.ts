import crypto, { randomBytes, timingSafeEqual } from 'node:crypto';
import { Problem, type Fault } from '../../kernel/problem.ts';

/** OWASP's first choice for Argon2id with little memory: 19 MiB, two passes, one lane. */
export const parameters = { memory: 19_456, passes: 2, parallelism: 1 } as const;
const TAG = 32;
const SALT = 16;
/** Hashes at once: each takes its memory and a thread. */
const AT_ONCE = 2;
/** Those that wait; further ones are refused. */
const WAITING = 100;

type Parameters = { readonly [K in keyof typeof parameters]: number };

let running = 0;
const line: (() => void)[] = [];

/** Runs a hash when one of the few places is free. @throws Problem unavailable */
async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= AT_ONCE) {
    if (line.length >= WAITING) throw new Problem('unavailable', 'Too many people log in at the same time; try again in a moment');
    await new Promise<void>((resolve) => line.push(resolve));
  } else running++;
  try {
    return await work();
  } finally {
    /* The place goes to the next one, so that nobody slips in between. */
    const next = line.shift();
    if (next) next();
    else running--;
  }
}

function argon2id(password: string, nonce: Buffer, { memory, passes, parallelism }: Parameters, tagLength: number): Promise<Buffer> {
  const message = Buffer.from(password.normalize('NFKC'));
  return inTurn(
    () =>
      new Promise((resolve, reject) => {
        /* Node gave it in 24.7; a named import would keep older ones from starting at all. */
        if (typeof crypto.argon2 !== 'function') throw new Error('passwords need Node 24.7 or later');
        crypto.argon2('argon2id', { message, nonce, memory, passes, parallelism, tagLength }, (error, key) => (error ? reject(error) : resolve(key)));
      }),
  );
}

const b64 = (bytes: Buffer): string => bytes.toString('base64').replaceAll('=', '');

/** The hash of a password, in PHC string form. */
export async function hashPassword(password: string, how: Parameters = parameters): Promise<string> {
  const salt = randomBytes(SALT);
  const tag = await argon2id(password, salt, how, TAG);
  return `$argon2id$v=19$m=${how.memory},t=${how.passes},p=${how.parallelism}$${b64(salt)}$${b64(tag)}`;
}

const PHC = /^\$argon2id\$v=19\$m=(\d{1,8}),t=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]{11,88})\$([A-Za-z0-9+/]{22,88})$/;
/** Takes as long to check as a real one, and no password has it. */
const nobody = `$argon2id$v=19$m=${parameters.memory},t=${parameters.passes},p=${parameters.parallelism}$${b64(randomBytes(SALT))}$${b64(randomBytes(TAG))}`;

/**
 * Checks a password; where there is no hash it takes the same time and says no.
 * @returns whether it is right, and whether it should be hashed anew because parameters have changed since
 */
export async function checkPassword(password: string, kept: string | null | undefined): Promise<{ right: boolean; stale: boolean }> {
  const [, m, t, p, salt, tag] = PHC.exec(kept ?? nobody) ?? PHC.exec(nobody)!;
  const how = { memory: Number(m), passes: Number(t), parallelism: Number(p) };
  const wanted = Buffer.from(tag!, 'base64');
  const found = await argon2id(password, Buffer.from(salt!, 'base64'), how, wanted.length);
  const right = timingSafeEqual(found, wanted) && kept != null;
  return { right, stale: right && (Object.keys(parameters) as (keyof Parameters)[]).some((name) => how[name] !== parameters[name]) };
}

export const SHORTEST = 12;
export const LONGEST = 200;

/** Of the passwords that lists of leaked ones begin with, those that are long enough, and what our own name gives. */
const common = new Set(
  `123456789012 1234567890123 12345678901234 123456789123 123456123456 111111111111 000000000000 112233445566 121212121212 987654321012 098765432109
  password1234 password12345 password123456 passwordpassword password!123 password1234! passw0rd1234 p@ssw0rd1234 p@ssword1234 mypassword123 yourpassword newpassword1 newpassword123
  qwertyuiop12 qwertyuiop123 qwerty123456 qwertyqwerty qwerty1234567 qwertyuiopas 1q2w3e4r5t6y 1qaz2wsx3edc 1qaz2wsx3edc4rfv q1w2e3r4t5y6 zaq12wsxcde3 asdfghjkl123 asdfasdfasdf zxcvbnm12345
  abcdefghijkl abcdef123456 abcd12345678 abc123abc123 abcabcabcabc administrator administrator1 administrator123 admin1234567 admin12345678 adminadmin12 adminadminadmin rootrootroot
  letmeinletmein letmein12345 welcome12345 welcome123456 iloveyou1234 iloveyouiloveyou changeme1234 changeme12345 changemechangeme changemenow1 secretsecret secret123456 default12345 testtesttest test12345678
  football1234 baseball1234 superman1234 sunshine1234 princess1234 dragondragon monkey123456 master123456 trustno1trustno1 correcthorsebatterystaple
  corral123456 corralcorral corral1234567 corraladmin1 corraladmin123 corralpassword`.split(/\s+/),
);

/** What is wrong with a new password, in words; undefined: nothing. Length and what others would try count, not kinds of characters (NIST SP 800-63B). */
export function weakness(password: string, { name, fullName, email }: { name: string; fullName?: string | null; email?: string | null }): string | undefined {
  const length = [...password.normalize('NFKC')].length;
  if (length < SHORTEST) return `must have at least ${SHORTEST} characters; a few words will do`;
  if (length > LONGEST) return `must have at most ${LONGEST} characters`;
  const plain = password.normalize('NFKC').toLowerCase();
  const own = [name, fullName, email].flatMap((one) => (one == null ? [] : [one.toLowerCase(), `${one.toLowerCase()}${one.toLowerCase()}`]));
  if (own.includes(plain)) return 'must not be the name or the address of the person';
  if (common.has(plain) || /^(.{1,3})\1+$/u.test(plain)) return 'is one of those that are tried first; take another';
  return undefined;
}

/** @throws Problem invalid */
export function demandPassword(password: string, repeated: string, of: Parameters_<typeof weakness>): void {
  const faults: Fault[] = [];
  const weak = weakness(password, of);
  if (weak !== undefined) faults.push({ pointer: '/password', message: weak });
  else if (password !== repeated) faults.push({ pointer: '/repeated', message: 'differs from the password' });
  if (faults.length > 0) throw new Problem('invalid', faults.map((one) => `${one.pointer} ${one.message}`).join('; '), { faults });
}

type Parameters_<T extends (password: string, of: never) => unknown> = T extends (password: string, of: infer P) => unknown ? P : never;
