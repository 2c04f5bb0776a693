import { X509Certificate } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Authority, CertificateError } from '../../src/tls/authority.ts';
import { TestCa, type Leaf } from './ca.ts';

const ca = new TestCa();
const foreign = new TestCa();
const der = ({ cert }: Leaf): Buffer => new X509Certificate(cert).raw;
const DAY = 86_400_000;
const refusal = (authority: Authority, leaf: Leaf, now?: number): string => {
  try {
    return `good: ${authority.check(der(leaf), now).certname}`;
  } catch (error) {
    if (error instanceof CertificateError) return error.message;
    throw error;
  }
};

describe('a certificate', () => {
  const authority = new Authority(ca.bundle, ca.crl());

  test('of the CA is good, until it or the list of revoked ones ends', () => {
    const { certname, until } = authority.check(der(ca.leaf('hv1.example.com')));
    expect(certname).toBe('hv1.example.com');
    expect(Math.round((until - Date.now()) / DAY)).toBe(30);
    expect(Math.round((new Authority(ca.bundle).check(der(ca.leaf('hv1.example.com'))).until - Date.now()) / DAY)).toBe(1000);
  });

  test('has its name in lower case, and among its DNS names where it has some', () => {
    expect(refusal(authority, ca.leaf('HV1.Example.com'))).toBe('good: hv1.example.com');
    expect(refusal(authority, ca.leaf('hv1.example.com', { names: ['DNS:puppet', 'DNS:HV1.example.com', 'IP:192.0.2.1'] }))).toBe('good: hv1.example.com');
    expect(refusal(authority, ca.leaf('hv1.example.com', { names: ['IP:192.0.2.1'] }))).toBe('good: hv1.example.com');
    expect(refusal(authority, ca.leaf('hv1.example.com', { names: ['DNS:hv2.example.com'] }))).toContain('its CN is none of them');
    expect(refusal(authority, ca.leaf('hv1.example.com', { names: ['DNS:*.example.com'] }))).toContain('its CN is none of them');
  });

  test.each(['/CN=hv1.example.com/CN=hv2.example.com', '/O=Example', '/CN=*.example.com', '/CN=hv1.example.com ', '/CN=..\\/hv1', '/CN=hv1\nhv2'])(
    'with the subject %j has no certname',
    (subject) => {
      expect(refusal(authority, ca.leaf('', { subject }))).toContain('has no certname');
    },
  );

  test.each([
    ['expired', () => ca.leaf('hv1.example.com', { from: '20200101000000Z', until: '20210101000000Z' }), /^expired at/],
    ['not valid yet', () => ca.leaf('hv1.example.com', { from: '20400101000000Z', until: '20410101000000Z' }), /^is not valid before/],
    ['of another CA', () => foreign.leaf('hv1.example.com'), /CA that is not known here/],
    ['of another CA with the same name', () => new TestCa('Puppet').leaf('hv1.example.com'), /CA that is not known here/],
    ['for servers only', () => ca.leaf('hv1.example.com', { purposes: 'serverAuth' }), /not for clients/],
    ["a CA's own", () => ca.itself, /is a CA's/],
    ["a CA's below it", () => ca.leaf('hv1.example.com', { ca: true }), /is a CA's/],
  ])('that is %s is refused', (_what, leaf, message) => {
    expect(refusal(authority, leaf())).toMatch(message);
  });

  test('that was revoked is refused, by its serial number alone', () => {
    const [one, other] = [ca.leaf('hv1.example.com'), ca.leaf('hv1.example.com')];
    ca.revoke(one);
    const now = new Authority(ca.bundle, ca.crl());
    expect([refusal(now, one), refusal(now, other)]).toEqual(['was revoked', 'good: hv1.example.com']);
    expect(refusal(new Authority(ca.bundle), one)).toBe('good: hv1.example.com');
  });

  test('is refused when the list of revoked ones is not of now', () => {
    const leaf = ca.leaf('hv1.example.com');
    expect(refusal(authority, leaf, Date.now() + 31 * DAY)).toContain('is not of now; renew it on the server');
    const ended = new Authority(ca.bundle, ca.crl(new Date(Date.now() - 2 * DAY).toISOString().replaceAll(/[-:T]|\.\d+/g, '')));
    expect(refusal(ended, leaf)).toContain('is not of now; renew it on the server');
  });

  test('that is no certificate is refused', () => {
    for (const bytes of [Buffer.alloc(0), Buffer.from('nothing'), der(ca.leaf('hv1.example.com')).subarray(0, 200)])
      expect(() => authority.check(bytes)).toThrow(CertificateError);
  });
});

describe('the files of a CA', () => {
  test('need the root, and a list of each CA, signed by it', () => {
    expect(refusal(new Authority(ca.signing), ca.leaf('hv1.example.com'))).toContain('CA that is not known here');
    expect(() => new Authority('nothing')).toThrow('holds no certificate');
    expect(() => new Authority(ca.leaf('hv1.example.com').cert)).toThrow("no CA's");
    expect(() => new Authority(ca.bundle, 'nothing')).toThrow('holds no list of revoked certificates');
    expect(() => new Authority(ca.bundle, ca.crl().split(/(?<=-----END X509 CRL-----\n)/)[0])).toThrow('no list that CN=Puppet Root CA signed');
    expect(() => new Authority(ca.bundle, foreign.crl())).toThrow('no list that CN=Puppet CA signed');
  });

  test('may be of several CAs, with keys of several kinds', () => {
    const key = join(ca.folder, 'ed.key');
    const cert = join(ca.folder, 'ed.pem');
    execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', key]);
    execFileSync('openssl', ['req', '-x509', '-key', key, '-subj', '/CN=Ed', '-days', '10', '-out', cert]);
    const config = join(ca.folder, 'ed.cnf');
    writeFileSync(
      config,
      `[ca]\ndefault_ca=o\n[o]\ndatabase=${ca.folder}/ed.index\ncertificate=${cert}\nprivate_key=${key}\ndefault_md=null\ndefault_crl_days=5\n`,
    );
    writeFileSync(join(ca.folder, 'ed.index'), '');
    const list = execFileSync('openssl', ['ca', '-config', config, '-gencrl'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    const both = new Authority(ca.bundle + execFileSync('cat', [cert], { encoding: 'utf8' }) + foreign.bundle, list + foreign.crl() + ca.crl());
    expect([refusal(both, ca.leaf('hv1.example.com')), refusal(both, foreign.leaf('hv2.example.com'))]).toEqual([
      'good: hv1.example.com',
      'good: hv2.example.com',
    ]);
  });

  test('of which one bit is other are refused or refuse', () => {
    const crl = ca.crl();
    const lines = crl.split('\n');
    const at = 4;
    const broken = [...lines.slice(0, at), lines[at]!.replace(/[A-Za-z]/, (one) => (one === 'A' ? 'B' : 'A')), ...lines.slice(at + 1)].join('\n');
    expect(broken).not.toBe(crl);
    expect(() => new Authority(ca.bundle, broken)).toThrow();
  });
});
