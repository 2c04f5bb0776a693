// The yardstick: node:http that sends the same bytes and headers, whatever is asked.
import { createServer } from 'node:http';

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string;
}

let input = '';
for await (const chunk of process.stdin) input += String(chunk);
const { port, answers } = JSON.parse(input) as { port: number; answers: Record<string, Answer> };
const ready = Object.fromEntries(Object.entries(answers).map(([path, answer]) => [path, { ...answer, bytes: Buffer.from(answer.body, 'base64') }]));
createServer({ keepAliveTimeout: 30_000 }, (request, response) => {
  const answer = ready[request.headers['if-none-match'] === undefined ? request.url! : `${request.url!} 304`]!;
  response.writeHead(answer.status, answer.headers);
  if (answer.status === 304) response.end();
  else response.end(answer.bytes);
}).listen(port, '127.0.0.1', () => console.log('ready'));
