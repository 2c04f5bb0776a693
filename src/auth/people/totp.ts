import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
/** Seconds of one code. */
const STEP = 30;
const DIGITS = 6;
/** Codes before and after the one of now that are taken too: clocks differ, and people type. */
const WINDOW = 1;

/** What a secret of an authenticator app is sealed with, so that it cannot be moved to another person. */
export const totpContext = (person: number): string => `totp:${person}`;

/** A new secret: 160 bits, as RFC 4226 has it, in base32. */
export const newTotpSecret = (): string => toBase32(randomBytes(20));

export function toBase32(bytes: Uint8Array): string {
  let bits = '';
  for (const byte of bytes) bits += byte.toString(2).padStart(8, '0');
  return (bits.match(/.{1,5}/g) ?? []).map((five) => ALPHABET[Number.parseInt(five.padEnd(5, '0'), 2)]).join('');
}

export function fromBase32(text: string): Buffer {
  const bits = [...text].map((letter) => ALPHABET.indexOf(letter).toString(2).padStart(5, '0')).join('');
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}

/** The code of a time step (RFC 6238 over RFC 4226, SHA-1, which is what the apps do). */
export function totpCode(key: Uint8Array, step: number, digits = DIGITS): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const mac = createHmac('sha1', key).update(counter).digest();
  const at = mac[mac.length - 1]! & 0xf;
  return String((mac.readUInt32BE(at) & 0x7fff_ffff) % 10 ** digits).padStart(digits, '0');
}

export const stepAt = (milliseconds: number): number => Math.floor(milliseconds / 1000 / STEP);

/** The time step whose code this is, near now; undefined: none. */
export function stepOf(secret: string, code: string, milliseconds: number): number | undefined {
  const typed = code.replaceAll(/\s/g, '');
  if (!/^\d{6}$/.test(typed)) return undefined;
  const key = fromBase32(secret);
  const now = stepAt(milliseconds);
  let found: number | undefined;
  /* All of them, so that the time says nothing. */
  for (let step = now - WINDOW; step <= now + WINDOW; step++) if (timingSafeEqual(Buffer.from(totpCode(key, step)), Buffer.from(typed))) found = step;
  return found;
}

/** What an authenticator app reads from the picture. */
export function otpauthUri(secret: string, person: string, issuer: string): string {
  const label = `${encodeURIComponent(issuer)}:${encodeURIComponent(person)}`;
  return `otpauth://totp/${label}?${new URLSearchParams({ secret, issuer, algorithm: 'SHA1', digits: String(DIGITS), period: String(STEP) }).toString().replaceAll('+', '%20')}`;
}
