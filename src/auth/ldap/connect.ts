import { once } from 'node:events';
import { lookup } from 'node:dns/promises';
import type { LookupAddress } from 'node:dns';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import { Client } from 'ldapts';
import type { LdapSettings } from '../../kernel/config.ldap.ts';
import { LdapFailure, type Step } from './failure.ts';
import type { Trace } from './trace.ts';

const START_TLS = '1.3.6.1.4.1.1466.20037';
/** A login takes several steps; all of them together get so many times the timeout of one. */
const WHOLE = 4;

export interface Connection {
  readonly client: Client;
  close(): Promise<void>;
}

/**
 * Opens an encrypted connection to one server. The sockets are made here and not by the library: it connects
 * again by itself when a connection breaks, and would do so without StartTLS, with the password in the clear.
 */
export async function connect(settings: LdapSettings, url: string, trace: Trace): Promise<Connection> {
  const { protocol, hostname, port: given } = new URL(url);
  const secure = protocol.toLowerCase() === 'ldaps:';
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  const port = given === '' ? (secure ? 636 : 389) : Number(given);
  const timeout = settings.timeout * 1000;

  const addresses = await trace(
    'resolve',
    () => resolve(host, timeout),
    (found) => found.map((one) => one.address).join(', '),
  );
  const plain = await trace(
    'connect',
    () => dial(host, port, addresses, timeout),
    (socket) => `${socket.remoteAddress} port ${socket.remotePort}`,
  );
  const deadline = setTimeout(() => plain.destroy(new Error('the login took too long')), timeout * WHOLE);
  deadline.unref();
  try {
    let socket: net.Socket = plain;
    if (secure) socket = await trace('tls', () => encrypt('tls', plain, host, settings), describe);
    else if (settings.start_tls) {
      socket = await trace(
        'start_tls',
        async () => {
          await askForTls(plain, host, port, timeout);
          return encrypt('start_tls', plain, host, settings);
        },
        describe,
      );
    }
    const client = clientOn(socket, host, port, timeout);
    return {
      client,
      async close() {
        clearTimeout(deadline);
        await client.unbind().catch(() => undefined);
        socket.destroy();
        plain.destroy();
      },
    };
  } catch (error) {
    clearTimeout(deadline);
    plain.destroy();
    throw error;
  }
}

/** A client on a socket that is open; when that breaks, the client fails. */
function clientOn(socket: net.Socket, host: string, port: number, timeout: number): Client {
  let taken = false;
  const take = (): net.Socket => {
    if (taken || socket.destroyed) throw new Error('the server closed the connection');
    taken = true;
    return socket;
  };
  return new Client({ url: `ldap://${net.isIPv6(host) ? `[${host}]` : host}:${port}`, timeout, createConnection: take as typeof net.connect });
}

async function resolve(host: string, timeout: number): Promise<LookupAddress[]> {
  if (net.isIP(host) !== 0) return [{ address: host, family: net.isIP(host) }];
  try {
    return await within(timeout, lookup(host, { all: true }));
  } catch {
    throw new LdapFailure('resolve', 'server', `there is no address for ${host}`, 'Check the host name in urls, and the DNS of this machine.');
  }
}

async function dial(host: string, port: number, addresses: LookupAddress[], timeout: number): Promise<net.Socket> {
  const found: net.LookupFunction = (_, options, done) =>
    options.all === true ? done(null, addresses) : done(null, addresses[0]!.address, addresses[0]!.family);
  const socket = net.connect({ host, port, lookup: found, autoSelectFamily: true, noDelay: true });
  try {
    await within(timeout, once(socket, 'connect'));
    return socket;
  } catch (error) {
    socket.destroy();
    socket.on('error', () => undefined);
    const code = (error as NodeJS.ErrnoException).code ?? '';
    const why = code === 'ECONNREFUSED' ? 'nothing listens there' : code === '' || code === 'ETIMEDOUT' ? 'no answer in time' : code;
    throw new LdapFailure('connect', 'server', `${host} port ${port}: ${why}`, 'Check that the server runs, its port, and firewalls between.');
  }
}

/**
 * Asks for StartTLS with a client of its own. Its parser goes with it: what someone on the wire put behind
 * the answer, in the clear, must not be read as part of the encrypted stream.
 */
async function askForTls(socket: net.Socket, host: string, port: number, timeout: number): Promise<void> {
  const events = ['data', 'error', 'close', 'end', 'timeout'] as const;
  const before = events.map((event) => socket.listeners(event));
  try {
    await clientOn(socket, host, port, timeout).exop(START_TLS);
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    throw new LdapFailure(
      'start_tls',
      'server',
      `the server refused StartTLS: ${said.slice(0, 200)}`,
      'Give the server a certificate (olcTLSCertificateFile), or use ldaps:// where it has that.',
    );
  } finally {
    for (const [at, event] of events.entries())
      for (const listener of socket.listeners(event)) if (!before[at]!.includes(listener)) socket.removeListener(event, listener as () => void);
  }
}

async function encrypt(step: Step, plain: net.Socket, host: string, settings: LdapSettings): Promise<tls.TLSSocket> {
  const ca = authorities(step, settings.ca_file);
  const secure = tls.connect({
    socket: plain,
    host,
    ...(net.isIP(host) === 0 ? { servername: host } : {}),
    ca,
    minVersion: 'TLSv1.2',
    /* Said outright: NODE_TLS_REJECT_UNAUTHORIZED=0 does not reach it. */
    rejectUnauthorized: true,
  });
  try {
    await within(settings.timeout * 1000, once(secure, 'secureConnect'));
    return secure;
  } catch (error) {
    secure.on('error', () => undefined);
    secure.destroy();
    throw tlsFailure(step, host, error);
  }
}

function authorities(step: Step, file: string | undefined): string[] {
  if (file === undefined) return [...tls.getCACertificates('default'), ...tls.getCACertificates('system')];
  try {
    const pem = readFileSync(file, 'utf8');
    if (pem.includes('-----BEGIN CERTIFICATE-----')) return [pem];
  } catch {
    throw new LdapFailure(step, 'settings', `ca_file ${file} cannot be read`, 'Check its path and who may read it.');
  }
  throw new LdapFailure(step, 'settings', `ca_file ${file} holds no certificate`, 'It must hold certificates in PEM form.');
}

function tlsFailure(step: Step, host: string, error: unknown): LdapFailure {
  const { code = '', reason } = error as { code?: string; reason?: string };
  const failed = (message: string, advice: string): LdapFailure => new LdapFailure(step, 'server', message, advice);
  if (code === 'CERT_HAS_EXPIRED') return failed('the certificate of the server has expired', 'Renew it on the server.');
  if (code === 'CERT_NOT_YET_VALID') return failed('the certificate of the server is not valid yet', 'Check the clocks of the server and of this machine.');
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return failed(
      `the certificate is not for ${host}: ${reason ?? ''}`.slice(0, 300),
      'Use a name in urls that the certificate holds, or give the server another certificate.',
    );
  if (/^(UNABLE_TO|SELF_SIGNED|DEPTH_ZERO|CERT_|INVALID_CA)/.test(code))
    return failed(`the certificate of the server is not to be trusted (${code})`, 'Set ca_file to the certificate of the authority that issued it.');
  if (/WRONG_VERSION|UNSUPPORTED_PROTOCOL|HANDSHAKE_FAILURE|ALERT/.test(code))
    return failed(`TLS failed (${code})`, 'ldaps:// is for port 636; port 389 takes ldap:// with StartTLS. TLS 1.2 is the least.');
  if (code === '') return failed('TLS did not come about in time', 'ldaps:// is for port 636; port 389 takes ldap:// with StartTLS.');
  return failed(`TLS failed (${code})`, 'See the log of the server: it may have no certificate.');
}

function describe(socket: tls.TLSSocket): string {
  const { subject, valid_to } = socket.getPeerCertificate();
  return `${socket.getProtocol()}, certificate of ${[subject.CN].flat()[0] ?? 'the server'} until ${new Date(valid_to).toISOString().slice(0, 10)}`;
}

async function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), milliseconds);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
