import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { addressKey } from '../auth/people/throttle.ts';
import type { Proxies } from '../kernel/proxy.ts';

/** How many connections there may be. */
export interface ConnectionLimits {
  /** Of all together; 0: any number. */
  readonly all: number;
  /** From one address, of IPv6 one network, that is no trusted proxy; 0: any number. */
  readonly address: number;
}

/** Milliseconds between two warnings. */
const WARN_EVERY = 60_000;

/** Closes connections beyond the limits as soon as they come, before anything is read of them, so that file descriptors are left for others. */
export function limitConnections(server: Server, limits: ConnectionLimits, proxies: Proxies, warn: (message: string) => void): void {
  let warned = Number.NEGATIVE_INFINITY;
  const tell = (message: string): void => {
    const now = performance.now();
    if (now - warned < WARN_EVERY) return;
    warned = now;
    warn(message);
  };
  if (limits.all > 0) {
    server.maxConnections = limits.all;
    server.on('drop', () => tell(`connections are refused: there are ${limits.all}, as CORRAL_CONNECTIONS allows`));
  }
  if (limits.address === 0) return;
  const open = new Map<string, number>();
  server.on('connection', (socket: Socket) => {
    if (socket.remoteAddress === undefined || proxies.isProxy({ socket })) return;
    const key = addressKey(socket.remoteAddress);
    const count = open.get(key) ?? 0;
    if (count >= limits.address) {
      tell(`connections from ${key} are refused: there are ${limits.address}, as CORRAL_CONNECTIONS_ADDRESS allows`);
      socket.destroy();
      return;
    }
    open.set(key, count + 1);
    socket.once('close', () => {
      const left = open.get(key)! - 1;
      if (left > 0) open.set(key, left);
      else open.delete(key);
    });
  });
}
