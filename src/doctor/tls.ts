import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import { readCrls } from '../tls/crl.ts';
import { loopback } from '../kernel/config.ldap.ts';
import { DAY, fail, ok, warn, type Check, type Finding, type Patient } from './types.ts';

/** Days before its end at which a certificate is told of. */
const SOON = 30;

const certificates = (pem: string): X509Certificate[] =>
  (pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? []).map((one) => new X509Certificate(one));

function ends(what: string, until: number, now: Date, mend: string): Finding {
  const days = Math.floor((until - now.getTime()) / DAY);
  const day = new Date(until).toISOString().slice(0, 10);
  if (until <= now.getTime()) return fail(`${what} ended on ${day}`, mend);
  return days < SOON ? warn(`${what} ends in ${days} days, on ${day}`, mend) : ok(`${what} is good until ${day}`);
}

function ofCertificate({ config: { tls_cert: cert, tls_key: key, public_url: published }, now }: Patient): Finding[] {
  if (cert === undefined && key === undefined) return [];
  if (cert === undefined || key === undefined) return [fail('only one of CORRAL_TLS_CERT and CORRAL_TLS_KEY is set', 'Set both, or neither')];
  const chain = certificates(readFileSync(cert, 'utf8'));
  const [first] = chain;
  if (!first) return [fail(`${cert} holds no certificate`, 'Put the certificate there, as PEM, and those between it and its CA behind it')];
  const out = chain.map((one, i) =>
    ends(
      i === 0 ? `the certificate ${cert}` : `the certificate of ${one.subject.replaceAll('\n', ', ')} in ${cert}`,
      Date.parse(one.validTo),
      now,
      'Renew it; Corral takes the new files without a restart',
    ),
  );
  if (Date.parse(first.validFrom) > now.getTime())
    out.push(fail(`the certificate is not good before ${first.validFrom}`, 'Check the clock of this machine, and the certificate'));
  for (const [i, one] of chain.entries())
    if (chain[i + 1] && !one.checkIssued(chain[i + 1]!))
      out.push(
        fail(`certificate ${i + 2} in ${cert} did not sign the one before it`, "Put the server's certificate first, and then each that signed the one before"),
      );
  if (published !== undefined) {
    const { hostname, protocol } = new URL(published);
    const address = hostname.replace(/^\[|\]$/g, '');
    if (protocol === 'https:' && !(isIP(address) === 0 ? first.checkHost(hostname) : first.checkIP(address)))
      out.push(
        warn(
          `the certificate is not for ${hostname}, the host of CORRAL_PUBLIC_URL`,
          'Get one with that name, or change CORRAL_PUBLIC_URL, unless a proxy in front has one',
        ),
      );
  }
  out.push(
    first.checkPrivateKey(createPrivateKey(readFileSync(key)))
      ? ok('the key belongs to the certificate')
      : fail(`the key ${key} does not belong to the certificate ${cert}`, 'Set CORRAL_TLS_KEY to the key that the certificate was made for'),
  );
  const mode = statSync(key).mode & 0o777;
  if ((mode & 0o007) !== 0)
    out.push(
      fail(
        `everybody on this machine may use the key ${key} (mode ${mode.toString(8)})`,
        `chmod 640 ${key}; and make a new key, for this one may have been read`,
      ),
    );
  else out.push(ok(`the key ${key} is closed to others (mode ${mode.toString(8)})`));
  return out;
}

function ofClients({ config: { tls_client_ca: ca, tls_crl: crl }, now }: Patient): Finding[] {
  if (ca === undefined) return [];
  const out = certificates(readFileSync(ca, 'utf8')).map((one) =>
    ends(`the CA ${one.subject.replaceAll('\n', ', ')}`, Date.parse(one.validTo), now, 'Renew the CA before its nodes are locked out'),
  );
  if (crl === undefined)
    return [
      ...out,
      warn('certificates of nodes are taken, and none can be revoked', "Set CORRAL_TLS_CRL to the CA's list, e.g. /etc/puppetlabs/puppet/ssl/crl.pem"),
    ];
  for (const { until } of readCrls(readFileSync(crl, 'utf8')))
    if (until !== undefined && until < now.getTime() + DAY)
      out.push(
        (until < now.getTime() ? fail : warn)(
          `a list in ${crl} is good until ${new Date(until).toISOString()}`,
          'Renew it, and see that it is copied here each day',
        ),
      );
  return out;
}

/** Where clients reach it without TLS. */
function ofWires({ config: { tls_cert: cert, host, trusted_proxies: proxies, public_url: published } }: Patient): Finding[] {
  const out: Finding[] = [];
  if (published !== undefined) {
    const { protocol, hostname } = new URL(published);
    if (protocol === 'http:' && !loopback(hostname))
      out.push(
        fail(
          `clients are sent to ${published}: passwords and tokens go over the wire in the clear`,
          'Set CORRAL_TLS_CERT and CORRAL_TLS_KEY, or a proxy with TLS, and CORRAL_PUBLIC_URL to https://',
        ),
      );
  }
  if (cert !== undefined || loopback(host) || host === '::1') return out;
  out.push(
    proxies.length > 0
      ? warn(
          `it listens on ${host} without TLS, for the proxies ${proxies.join(', ')} and for whoever else reaches it`,
          'Let a firewall admit the proxies only, or set CORRAL_TLS_CERT and CORRAL_TLS_KEY',
        )
      : fail(
          `it listens on ${host} without TLS, and no proxy is named`,
          'Set CORRAL_TLS_CERT and CORRAL_TLS_KEY; or HOST=127.0.0.1 behind a proxy here; or CORRAL_TRUSTED_PROXIES',
        ),
  );
  return out;
}

export const tlsCheck: Check = {
  name: 'tls',
  run: (patient) => {
    const out = [...ofCertificate(patient), ...ofClients(patient), ...ofWires(patient)];
    return out.length > 0 ? out : [ok(`it answers on ${patient.config.host} only, so nothing goes over a wire`)];
  },
};
