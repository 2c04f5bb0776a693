import ipaddr from 'ipaddr.js';
import { z } from 'zod';

function parse(text: string): { address: ipaddr.IPv4 | ipaddr.IPv6; prefix: number } | undefined {
  const [host = '', bits, ...rest] = text.split('/');
  if (rest.length > 0 || host.includes('%')) return undefined;
  const strict = ipaddr.IPv4.isValidFourPartDecimal(host) || ipaddr.IPv6.isValid(host);
  if (!strict) return undefined;
  const address = ipaddr.parse(host);
  const max = address.kind() === 'ipv4' ? 32 : 128;
  if (bits !== undefined && !/^(0|[1-9]\d{0,2})$/.test(bits)) return undefined;
  const prefix = bits === undefined ? max : Number(bits);
  return prefix <= max ? { address, prefix } : undefined;
}

/** One canonical text for each address (RFC 5952 for IPv6). */
function canonical(text: string): string {
  return ipaddr.parse(text).toString();
}

/** The network of a CIDR with its host bits cleared, or undefined when it is none. */
function networkOf(text: string): string | undefined {
  const parsed = parse(text);
  if (!parsed || !text.includes('/')) return undefined;
  const kind = parsed.address.kind() === 'ipv4' ? ipaddr.IPv4 : ipaddr.IPv6;
  return `${kind.networkAddressFromCIDR(`${parsed.address.toString()}/${parsed.prefix}`).toString()}/${parsed.prefix}`;
}

/** An address without a prefix, e.g. 203.0.113.7 or 2001:db8::7; IPv6 is brought to its canonical form. */
export const ip = (description: string) =>
  z
    .string()
    .refine((text) => !text.includes('/') && parse(text) !== undefined, { error: 'must be an IPv4 or IPv6 address, e.g. 192.0.2.7', abort: true })
    .transform(canonical)
    .pipe(z.string())
    .describe(description);

/** A network in CIDR form with no host bits set, e.g. 203.0.113.0/24. */
export const cidr = (description: string) =>
  z
    .string()
    .refine((text) => text.includes('/') && parse(text) !== undefined, { error: 'must be a network in CIDR form, e.g. 192.0.2.0/24', abort: true })
    .refine((text) => networkOf(text) === `${canonical(text.split('/')[0]!)}/${text.split('/')[1]}`, {
      error: (issue) => `has host bits set; did you mean ${networkOf(String(issue.input))}?`,
      abort: true,
    })
    .transform((text) => networkOf(text)!)
    .pipe(z.string())
    .describe(description);

/** A host's address with its prefix, e.g. 192.0.2.10/24. */
export const hostCidr = (description: string) =>
  z
    .string()
    .refine((text) => text.includes('/') && parse(text) !== undefined, { error: 'must be an address with its prefix length, e.g. 192.0.2.10/24', abort: true })
    .transform((text) => `${canonical(text.split('/')[0]!)}/${text.split('/')[1]}`)
    .pipe(z.string())
    .describe(description);
