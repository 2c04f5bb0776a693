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

/**
 * The row versions that an If-Match header allows; undefined when it allows any. A tag that is not of
 * Corral's form matches nothing.
 */
export function versionsOf(header: string | null | undefined): readonly number[] | undefined {
  if (!header || header.trim() === '*') return undefined;
  return header.split(',').flatMap((part) => {
    const match = /^\s*"(\d+)\.[\w-]+"\s*$/.exec(part);
    return match ? [Number(match[1])] : [];
  });
}
