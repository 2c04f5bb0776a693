import { X509Certificate } from 'node:crypto';
import { readCrls, serialOf, type Crl } from './crl.ts';
import { childrenOf, pemBlocks, readDer, tags } from './der.ts';

/** What is wrong with a certificate, in words. */
export class CertificateError extends Error {}

/** A certificate with what Node does not say of it. */
interface Parsed {
  readonly certificate: X509Certificate;
  readonly serial: string;
  /** Names in DER. */
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly from: number;
  readonly until: number;
}

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const ANY_PURPOSE = '2.5.29.37.0';
/** No Puppet CA has more CAs above one another. */
const DEPTH = 8;

function parse(der: Buffer): Parsed {
  const certificate = new X509Certificate(der);
  const parts = childrenOf(childrenOf(readDer(certificate.raw))[0]);
  if (parts[0]?.tag === tags.context0) parts.shift();
  const [serial, , issuer, , subject] = parts;
  return {
    certificate,
    serial: serialOf(serial),
    issuer: issuer!.whole,
    subject: subject!.whole,
    from: Date.parse(certificate.validFrom),
    until: Date.parse(certificate.validTo),
  };
}

/** A certificate that is good. */
export interface Checked {
  readonly certname: string;
  /** When something in its chain ends, or the list of revoked ones does: it is good until then at most. */
  readonly until: number;
}

/**
 * The CAs whose client certificates count, and their lists of revoked ones. It checks what OpenSSL has checked at the
 * handshake again whenever the lists change: a connection may outlive a certificate; and it checks certificates that a
 * proxy hands on.
 */
export class Authority {
  readonly #cas: readonly Parsed[];
  readonly #crls: ReadonlyMap<Parsed, Crl> | undefined;

  /**
   * @param bundle certificates of the CAs in PEM, up to the root
   * @param lists of revoked certificates in PEM, one of each CA; without them nothing is revoked
   * @throws Error that says what is wrong with them
   */
  constructor(bundle: string, lists?: string) {
    this.#cas = pemBlocks(bundle, 'CERTIFICATE').map(parse);
    if (this.#cas.length === 0) throw new Error('the CA bundle holds no certificate in PEM');
    for (const { certificate } of this.#cas) if (!certificate.ca) throw new Error(`the CA bundle holds a certificate that is no CA's: ${nameOf(certificate)}`);
    if (lists === undefined) return;
    const crls = new Map<Parsed, Crl>();
    for (const crl of readCrls(lists)) {
      const ca = this.#cas.find((one) => one.subject.equals(crl.issuer) && crl.signedBy(one.certificate.publicKey));
      if (ca && crl.from > (crls.get(ca)?.from ?? Number.NEGATIVE_INFINITY)) crls.set(ca, crl);
    }
    const missing = this.#cas.find((ca) => !crls.has(ca));
    if (missing) throw new Error(`the file of revoked certificates holds no list that ${nameOf(missing.certificate)} signed`);
    this.#crls = crls;
  }

  /**
   * Checks a client certificate.
   * @throws CertificateError
   */
  check(der: Buffer, now = Date.now()): Checked {
    let leaf: Parsed;
    try {
      leaf = parse(der);
    } catch (cause) {
      throw new CertificateError('cannot be read', { cause });
    }
    const { certificate } = leaf;
    if (certificate.ca) throw new CertificateError("is a CA's, not a client's");
    const purposes = certificate.keyUsage as readonly string[] | undefined;
    if (purposes && !purposes.includes(CLIENT_AUTH) && !purposes.includes(ANY_PURPOSE)) throw new CertificateError('is not for clients (extended key usage)');
    let until = Number.POSITIVE_INFINITY;
    for (let one = leaf, depth = 0; ; depth++) {
      const which = one === leaf ? '' : `has the issuer ${nameOf(one.certificate)}, which `;
      if (!(now >= one.from)) throw new CertificateError(`${which}is not valid before ${one.certificate.validFrom}`);
      if (!(now < one.until)) throw new CertificateError(`${which}expired at ${one.certificate.validTo}`);
      until = Math.min(until, one.until);
      if (one !== leaf && one.subject.equals(one.issuer)) break;
      const ca = depth < DEPTH ? this.#issuerOf(one) : undefined;
      if (!ca) throw new CertificateError(`${which}was issued by a CA that is not known here`);
      const crl = this.#crls?.get(ca);
      if (this.#crls) {
        if (!crl || crl.from > now || (crl.until !== undefined && crl.until <= now))
          throw new CertificateError(`cannot be checked: the list of revoked certificates of ${nameOf(ca.certificate)} is not of now; renew it on the server`);
        if (crl.revoked.has(one.serial)) throw new CertificateError(`${which}was revoked`);
        until = Math.min(until, crl.until ?? until);
      }
      one = ca;
    }
    return { certname: certnameOf(certificate), until };
  }

  #issuerOf(one: Parsed): Parsed | undefined {
    return this.#cas.find(
      (ca) => ca.subject.equals(one.issuer) && one.certificate.checkIssued(ca.certificate) && one.certificate.verify(ca.certificate.publicKey),
    );
  }
}

const nameOf = ({ subject }: X509Certificate): string => subject?.replaceAll('\n', ', ').slice(0, 200) ?? 'without a name';

/**
 * The name that a Puppet CA gave a certificate: its one CN. Where the certificate has DNS names, too, the CN is one of
 * them: Puppet's CA always puts it there.
 * @throws CertificateError
 */
export function certnameOf(certificate: X509Certificate): string {
  const subject = certificate.toLegacyObject().subject as unknown as Readonly<Record<string, string | readonly string[] | undefined>>;
  const cn = subject['CN'];
  if (typeof cn !== 'string' || !/^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/.test(cn))
    throw new CertificateError('has no certname: its subject must have one CN');
  const name = cn.toLowerCase();
  const names = (certificate.subjectAltName ?? '').split(', ').flatMap((one) => (one.startsWith('DNS:') ? one.slice(4).toLowerCase() : []));
  if (names.length > 0 && !names.includes(name)) throw new CertificateError('has DNS names (subjectAltName), and its CN is none of them');
  return name;
}
