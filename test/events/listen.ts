/** Clients of event streams, for tests. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { ADMIN, type TestCorral } from '../support/corral.ts';

export interface DocumentEvent {
  readonly id: string;
  readonly data: { readonly version: string; readonly spread: number };
  /** When it came, by performance.now(). */
  readonly at: number;
}

export interface Stream {
  readonly status: number;
  readonly events: DocumentEvent[];
  /** All that was sent, as text. */
  text(): string;
  /** Waits until so many events have come. */
  until(count: number): Promise<DocumentEvent>;
  /** Settles when the server ends the stream. */
  readonly ended: Promise<void>;
  close(): void;
}

/** Opens the events of a node as a host would. */
export async function listen(
  corral: Pick<TestCorral, 'base'>,
  node: string,
  { token = ADMIN, last }: { token?: string | undefined; last?: string | undefined } = {},
): Promise<Stream> {
  const control = new AbortController();
  const answer = await fetch(`${corral.base}/documents/${node}/events`, {
    signal: control.signal,
    headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream', ...(last === undefined ? {} : { 'last-event-id': last }) },
  });
  let all = '';
  const events: DocumentEvent[] = [];
  const read = async (): Promise<void> => {
    let rest = '';
    try {
      for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
        all += chunk;
        const blocks = (rest + chunk).split('\n\n');
        rest = blocks.pop()!;
        for (const block of blocks) {
          const match = /^event: document\nid: (.+)\ndata: (.+)$/.exec(block);
          if (match) events.push({ id: match[1]!, data: JSON.parse(match[2]!) as DocumentEvent['data'], at: performance.now() });
        }
      }
    } catch {
      /* Closed by the test, or broken by the server: the text says what came before. */
    }
  };
  return {
    status: answer.status,
    events,
    text: () => all,
    until: async (count) => {
      for (const end = performance.now() + 5000; events.length < count;) {
        if (performance.now() > end) expect.fail(`${events.length} of ${count} events came: ${all}`);
        await sleep(5);
      }
      return events[count - 1]!;
    },
    ended: read(),
    close: () => control.abort(),
  };
}
