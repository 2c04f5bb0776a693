import type { Server } from 'node:http';
import { Server as TlsServer, type ServerOptions } from 'node:https';
import type { Socket } from 'node:net';
import type { Authority } from './authority.ts';
import { TlsFiles, type TlsFilesOptions } from './files.ts';

type Config = Parameters<typeof TlsFiles.open>[0];

interface Log {
  info(message: string): void;
  warn(message: string): void;
}

/** TLS of a server that listens, and client certificates. */
export interface ServerTls {
  /** Of a server that ends TLS itself. */
  readonly options: ServerOptions | undefined;
  /** New files are this server's from now on. */
  serve(server: Server): void;
  close(): void;
}

/**
 * What the configuration says of TLS; new files are used without a restart: within seconds, or at once with SIGHUP.
 * @returns undefined: nothing
 * @throws ConfigError
 */
export function tlsServer(
  config: Config,
  certificates: { use(authority: Authority | undefined): void },
  log: Log,
  { every }: Pick<TlsFilesOptions, 'every'> = {},
): ServerTls | undefined {
  let server: TlsServer | undefined;
  const files = TlsFiles.open(config, {
    changed: ({ context, authority }) => {
      if (context) server?.setSecureContext(context);
      certificates.use(authority);
    },
    info: (message) => log.info(message),
    warn: (message) => log.warn(message),
    ...(every === undefined ? {} : { every }),
  });
  if (!files) return undefined;
  const { context, authority } = files.state;
  certificates.use(authority);
  const again = (): void => files.look(true);
  process.on('SIGHUP', again);
  return {
    /* A bad certificate is refused with words, not with an alert of TLS that no tool shows: see ClientCertificates. */
    options: context && { ...context, requestCert: authority !== undefined, rejectUnauthorized: false },
    serve: (listening) => {
      if (listening instanceof TlsServer) server = listening;
    },
    close: () => {
      process.off('SIGHUP', again);
      files.close();
    },
  };
}

/** Gives what cuts off all connections of a server; `closeAllConnections` does not know those amid the handshake of TLS. */
export function trackSockets(server: Server): () => void {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  return () => {
    server.closeAllConnections();
    for (const socket of sockets) socket.destroy();
  };
}
