import { verify, type KeyObject } from 'node:crypto';
import { childrenOf, oidOf, pemBlocks, readDer, tags, timeOf, type Der } from './der.ts';

/** A list of revoked certificates. */
export interface Crl {
  /** Its issuer's name, in DER. */
  readonly issuer: Buffer;
  /** Milliseconds. */
  readonly from: number;
  /** When the next one is due: from then on this one says nothing. */
  readonly until: number | undefined;
  /** Serial numbers in hexadecimal. */
  readonly revoked: ReadonlySet<string>;
  /** Whether this key signed it. */
  readonly signedBy: (key: KeyObject) => boolean;
}

/** The digest of each signature algorithm that is taken; null: the algorithm has its own. */
const digests: Readonly<Record<string, string | null>> = {
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  '1.3.101.112': null,
};
/** The kinds of keys that sign with them. */
const keyOf = (algorithm: string): string => (algorithm.startsWith('1.2.840.113549') ? 'rsa' : algorithm.startsWith('1.2.840.10045') ? 'ec' : 'ed25519');

/** A serial number as it is compared. */
export const serialOf = (value: Der | undefined): string => {
  if (value?.tag !== tags.integer) throw new Error('has no serial number');
  return value.contents.toString('hex').replace(/^(00)+(?=..)/, '');
};

/** What is critical and not known changes the meaning of the rest: lists of a part, or of other issuers. */
function refuseCritical(extensions: Der | undefined): void {
  if (!extensions) return;
  for (const one of childrenOf(extensions)) {
    const [id, second] = childrenOf(one);
    if (second?.tag === tags.boolean && second.contents[0] !== 0) throw new Error(`has the critical extension ${oidOf(id)}, which is not known here`);
  }
}

/** Reads the lists in PEM. @throws Error */
export function readCrls(pem: string): Crl[] {
  const blocks = pemBlocks(pem, 'X509 CRL');
  if (blocks.length === 0) throw new Error('holds no list of revoked certificates (X509 CRL) in PEM');
  return blocks.map(readCrl);
}

function readCrl(bytes: Buffer): Crl {
  const [signed, outer, signature] = childrenOf(readDer(bytes));
  const parts = childrenOf(signed);
  if (parts[0]?.tag === tags.integer) parts.shift();
  const [inner, issuer, from] = parts.splice(0, 3);
  const algorithm = oidOf(childrenOf(outer)[0]);
  if (!inner || !outer || !inner.whole.equals(outer.whole) || issuer?.tag !== tags.sequence || !from || signature?.tag !== tags.bits)
    throw new Error('holds a list of revoked certificates that cannot be read');
  const digest = digests[algorithm];
  if (digest === undefined) throw new Error(`is signed with ${algorithm}, which is not taken; SHA-256 or better is`);
  const next = parts[0]?.tag === tags.utcTime || parts[0]?.tag === tags.time ? timeOf(parts.shift()!) : undefined;
  const revoked = new Set<string>();
  if (parts[0]?.tag === tags.sequence)
    for (const entry of childrenOf(parts.shift())) {
      const [serial, , extensions] = childrenOf(entry);
      refuseCritical(extensions);
      revoked.add(serialOf(serial));
    }
  if (parts[0]?.tag === tags.context0) refuseCritical(childrenOf(parts[0], tags.context0)[0]);
  return {
    issuer: issuer.whole,
    from: timeOf(from),
    until: next,
    revoked,
    signedBy: (key) => key.asymmetricKeyType === keyOf(algorithm) && verify(digest, signed!.whole, key, signature.contents.subarray(1)),
  };
}
