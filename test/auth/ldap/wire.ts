import { connect, createServer, type Socket } from 'node:net';

/** Someone on the wire between Corral and a server. */
export interface Wire {
  readonly url: string;
  /** What the client sent, of each connection. */
  readonly sent: Buffer[];
  stop(): Promise<void>;
}

/** @param fromServer sees what the server sends and says what the client gets; may cut the connection */
export async function onTheWire(port: number, fromServer: (data: Buffer, client: Socket) => Buffer = (data) => data): Promise<Wire> {
  const sent: Buffer[] = [];
  const server = createServer((client) => {
    const at = sent.push(Buffer.alloc(0)) - 1;
    const behind = connect(port, '127.0.0.1');
    const end = (): void => {
      client.destroy();
      behind.destroy();
    };
    client.on('error', end).on('close', end);
    behind.on('error', end).on('close', end);
    client.on('data', (data) => {
      sent[at] = Buffer.concat([sent[at]!, data]);
      behind.write(data);
    });
    behind.on('data', (data) => {
      const out = fromServer(data, client);
      if (!client.destroyed) client.write(out);
    });
  });
  await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
  return {
    url: `ldap://127.0.0.1:${(server.address() as { port: number }).port}`,
    sent,
    stop: () => new Promise((done) => void server.close(() => done())),
  };
}
