import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import ipaddr from 'ipaddr.js';

type Range = ReturnType<typeof ipaddr.parseCIDR>;

/**
 * The proxies whose word counts: what X-Forwarded-For and X-Forwarded-Proto say is believed of them, and of nobody
 * else. Of a chain of trusted proxies the address is the last one that is none of them.
 */
export class Proxies {
  readonly #ranges: readonly Range[];

  /** @param ranges in CIDR form @throws Error for what is none */
  constructor(ranges: readonly string[] = []) {
    this.#ranges = ranges.map((one) => ipaddr.parseCIDR(one.includes('/') ? one : `${one}/${one.includes(':') ? 128 : 32}`));
  }

  /** Where a request comes from. */
  addressOf({ socket, headers }: Pick<IncomingMessage, 'socket' | 'headers'>): string {
    let address = socket.remoteAddress ?? '';
    if (!this.#trusts(address)) return address;
    const hops = String(headers['x-forwarded-for'] ?? '')
      .split(',')
      .map((one) => one.trim());
    while (this.#trusts(address)) {
      const before = hops.pop();
      if (before === undefined || !ipaddr.isValid(before)) break;
      address = before;
    }
    return address;
  }

  /** Whether it came over TLS, to here or to a trusted proxy. */
  isSecure({ socket, headers }: Pick<IncomingMessage, 'socket' | 'headers'>): boolean {
    if ((socket as TLSSocket).encrypted === true) return true;
    return (
      this.#trusts(socket.remoteAddress ?? '') &&
      String(headers['x-forwarded-proto'] ?? '')
        .split(',')
        .at(-1)
        ?.trim() === 'https'
    );
  }

  /** Whether a trusted proxy sent it on. */
  isProxy({ socket }: Pick<IncomingMessage, 'socket'>): boolean {
    return this.#trusts(socket.remoteAddress ?? '');
  }

  #trusts(address: string): boolean {
    if (this.#ranges.length === 0 || !ipaddr.isValid(address)) return false;
    const parsed = ipaddr.process(address);
    return this.#ranges.some(([range, bits]) => range.kind() === parsed.kind() && parsed.match([range, bits] as never));
  }
}
