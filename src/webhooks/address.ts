import { lookup, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';
import { ConfigError } from '../kernel/config.ts';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** What webhooks may reach though it is not public. */
export interface Allowed {
  readonly hosts: ReadonlySet<string>;
  readonly networks: readonly (readonly [Address, number])[];
}

/** All that is routed today; what lies outside is local, reserved, or another form of an IPv4 address. */
const GLOBAL = ipaddr.IPv6.parseCIDR('2000::/3');

/** Reads CORRAL_WEBHOOK_ALLOW. @throws ConfigError */
export function parseAllowed(text: string): Allowed {
  const hosts = new Set<string>();
  const networks: (readonly [Address, number])[] = [];
  for (const part of text.split(',').map((one) => one.trim().toLowerCase())) {
    if (part === '') continue;
    if (isIP(part) !== 0) {
      const address = ipaddr.parse(part);
      networks.push([address, address.kind() === 'ipv4' ? 32 : 128]);
    } else if (ipaddr.isValidCIDR(part)) {
      networks.push(ipaddr.parseCIDR(part));
    } else if (/^(?!\d+$)[a-z0-9_]([a-z0-9._-]{0,251}[a-z0-9_])?$/.test(part) && !/^[\d.]+$/.test(part)) {
      hosts.add(part);
    } else {
      throw new ConfigError(`CORRAL_WEBHOOK_ALLOW: '${part}' is neither a network in CIDR form nor a host name`);
    }
  }
  return { hosts, networks };
}

/** Why an address is not to be connected to; undefined: it may. */
export function refusalOf(text: string, { networks }: Allowed): string | undefined {
  if (isIP(text) === 0) return `'${text}' is no address`;
  const address = ipaddr.parse(text);
  const inner = address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() ? address.toIPv4Address() : undefined;
  const allowed = (one: Address | undefined): boolean =>
    one !== undefined && networks.some(([network, bits]) => one.kind() === network.kind() && one.match([network, bits] as [never, number]));
  if (allowed(address) || allowed(inner)) return undefined;
  const range = address.range();
  if (range === 'unicast' && (address.kind() === 'ipv4' || (address as ipaddr.IPv6).match(GLOBAL))) return undefined;
  return `the address ${text} is not public (${range === 'unicast' ? 'reserved' : range}); CORRAL_WEBHOOK_ALLOW would have to name it`;
}

/** A name, or an address written as one, may not be connected to. */
export class Refused extends Error {}

/**
 * How a connection gets its address: the names' addresses are checked here, and only those that passed are given, so that
 * what is checked is what is connected to, whatever the name resolves to a moment later.
 */
export function checkedLookup(allowed: Allowed): LookupFunction {
  return (hostname, options, callback) => {
    const done = callback as (error: Error | null, address?: string | LookupAddress[], family?: number) => void;
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return done(error);
      const free = allowed.hosts.has(hostname.toLowerCase());
      const good = free ? addresses : addresses.filter(({ address }) => refusalOf(address, allowed) === undefined);
      const first = good[0];
      if (!first) return done(new Refused(`${hostname}: ${addresses[0] ? refusalOf(addresses[0].address, allowed) : 'it has no address'}`));
      if (options.all) done(null, good);
      else done(null, first.address, first.family);
    });
  };
}

/** Checks a host that is an address itself, for which no connection asks `lookup`. @throws Refused */
export function checkLiteral(url: URL, allowed: Allowed): void {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const why = isIP(host) === 0 || allowed.hosts.has(host) ? undefined : refusalOf(host, allowed);
  if (why !== undefined) throw new Refused(why);
}
