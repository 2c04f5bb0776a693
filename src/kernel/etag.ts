import { createHash } from 'node:crypto';

/** A strong entity tag of exactly these bytes; `version` leads it so that a write can be guarded. */
export function etagOf(bytes: string | Uint8Array, version?: number): string {
  const hash = createHash('sha256').update(bytes).digest('base64url').slice(0, 22);
  return version === undefined ? `"${hash}"` : `"${version}.${hash}"`;
}

/** Whether a header such as If-None-Match names this tag (RFC 9110, 13.1). */
export function matches(header: string | null | undefined, etag: string): boolean {
  if (!header) return false;
  if (header === etag || header.trim() === '*') return true;
  return header.split(',').some((part) => part.trim().replace(/^W\//, '') === etag);
}

/** What If-Match asks for: these row versions, any version of a thing that is there, or nothing. */
export type Guard = readonly number[] | 'any' | undefined;

/** Reads an If-Match header. A tag that is not of Corral's form matches nothing. */
export function guardOf(header: string | null | undefined): Guard {
  if (!header) return undefined;
  if (header.trim() === '*') return 'any';
  return header.split(',').flatMap((part) => {
    const match = /^\s*"(\d+)\.[\w-]+"\s*$/.exec(part);
    return match ? [Number(match[1])] : [];
  });
}
