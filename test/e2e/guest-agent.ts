/** Runs programs in a virtual machine through the QEMU guest agent's socket. */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Output } from './host.ts';

interface Ended {
  readonly exited: boolean;
  readonly exitcode?: number;
  readonly signal?: number;
  readonly 'out-data'?: string;
  readonly 'err-data'?: string;
}

/** One command of the agent. @throws Error with what it says, or when it does not answer in time */
export async function ask(socket: string, execute: string, values: object = {}, timeout = 10_000): Promise<unknown> {
  return new Promise((done, failed) => {
    const connection = connect(socket);
    /* Answers to those who did not wait for theirs come first. */
    const id = Math.floor(Math.random() * 2 ** 31);
    let said = '';
    let synced = false;
    const timer = setTimeout(() => connection.destroy(new Error(`${execute}: no answer within ${timeout} ms`)), timeout);
    const send = (message: object): void => void connection.write(`${JSON.stringify(message)}\n`);
    const end = (): void => {
      clearTimeout(timer);
      connection.destroy();
    };
    connection.setEncoding('utf8');
    connection.on('connect', () => send({ execute: 'guest-sync', arguments: { id } }));
    connection.on('data', (text: string) => {
      said += text;
      for (let at = said.indexOf('\n'); at >= 0; at = said.indexOf('\n')) {
        const answer = JSON.parse(said.slice(0, at)) as { return?: unknown; error?: { desc: string } };
        said = said.slice(at + 1);
        if (synced) {
          end();
          if (answer.error) failed(new Error(`${execute}: ${answer.error.desc}`));
          else done(answer.return);
          return;
        }
        if (answer.return === id) {
          synced = true;
          send({ execute, arguments: values });
        }
      }
    });
    connection.on('error', (error) => (end(), failed(error)));
  });
}

/** Runs a program to its end. */
export async function execute(socket: string, command: string, args: readonly string[], timeout = 900_000): Promise<Output> {
  const { pid } = (await ask(socket, 'guest-exec', { path: command, arg: args, 'capture-output': true })) as { pid: number };
  for (const end = Date.now() + timeout; Date.now() < end;) {
    // oxlint-disable-next-line no-await-in-loop -- it has no other way to tell
    const status = (await ask(socket, 'guest-exec-status', { pid })) as Ended;
    if (status.exited) {
      const text = (data: string | undefined): string => Buffer.from(data ?? '', 'base64').toString();
      return { status: status.exitcode ?? 128 + (status.signal ?? 0), stdout: text(status['out-data']), stderr: text(status['err-data']) };
    }
    // oxlint-disable-next-line no-await-in-loop
    await sleep(100);
  }
  throw new Error(`${command} did not end within ${timeout} ms`);
}

/** Writes a file, whole. */
export async function writeGuestFile(socket: string, path: string, content: Buffer): Promise<void> {
  const handle = (await ask(socket, 'guest-file-open', { path, mode: 'w' })) as number;
  for (let at = 0; at < content.length; at += 65_536) {
    // oxlint-disable-next-line no-await-in-loop -- one piece after another
    await ask(socket, 'guest-file-write', { handle, 'buf-b64': content.subarray(at, at + 65_536).toString('base64') });
  }
  await ask(socket, 'guest-file-close', { handle });
}
