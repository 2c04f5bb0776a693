// The yardstick: node:http, or node:https, that sends the same bytes and headers, whatever is asked.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string;
}

let input = '';
for await (const chunk of process.stdin) input += String(chunk);
const { port, answers, tls } = JSON.parse(input) as { port: number; answers: Record<string, Answer>; tls?: ServerOptions };
const ready = Object.fromEntries(Object.entries(answers).map(([path, answer]) => [path, { ...answer, bytes: Buffer.from(answer.body, 'base64') }]));
const handle = (request: IncomingMessage, response: ServerResponse): void => {
  const answer = ready[request.headers['if-none-match'] === undefined ? request.url! : `${request.url!} 304`]!;
  response.writeHead(answer.status, answer.headers);
  if (answer.status === 304) response.end();
  else response.end(answer.bytes);
};
const limits = { keepAliveTimeout: 30_000 };
(tls ? createTlsServer({ ...limits, ...tls }, handle) : createServer(limits, handle)).listen(port, '127.0.0.1', () => console.log('ready'));
