import { once } from 'node:events';
import { Option } from 'commander';

export type Form = 'table' | 'json' | 'yaml' | 'msgpack';

/** `-o`, of every command that prints data. */
export function outputOption(): Option {
  return new Option('-o, --output <form>', 'table for people; json, yaml, msgpack for programs').choices(['table', 'json', 'yaml', 'msgpack']).default('table');
}

/** Writes to stdout and waits where its reader is slow, so that a large answer does not fill the memory. */
export async function write(chunk: string | Uint8Array): Promise<void> {
  if (!process.stdout.write(chunk)) await once(process.stdout, 'drain');
}

/** A line to stderr that is no problem, such as that there is more. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Data for programs. */
export async function emit(form: Exclude<Form, 'table'>, data: unknown): Promise<void> {
  if (form === 'json') return write(`${JSON.stringify(data, null, 2)}\n`);
  if (form === 'yaml') return write(await yaml(data));
  const { toMsgpack } = await import('../kernel/codec.ts');
  return write(toMsgpack(data));
}

async function yaml(data: unknown): Promise<string> {
  const { dump } = await import('js-yaml');
  return dump(data, { noRefs: true, lineWidth: -1 });
}

/** A list that comes page by page; in JSON and YAML it goes out so too. MessagePack needs its length first. */
export async function emitPages(form: Exclude<Form, 'table'>, pages: AsyncIterable<readonly unknown[]>): Promise<void> {
  let count = 0;
  const all: unknown[] = [];
  if (form === 'json') await write('[');
  for await (const rows of pages) {
    if (form === 'msgpack') {
      all.push(...rows);
    } else if (form === 'yaml') {
      if (rows.length > 0) await write(await yaml(rows));
    } else {
      for (const row of rows) await write(`${count++ === 0 ? '\n' : ',\n'}${JSON.stringify(row)}`);
      continue;
    }
    count += rows.length;
  }
  if (form === 'json') await write(count === 0 ? ']\n' : '\n]\n');
  if (form === 'yaml' && count === 0) await write('[]\n');
  if (form === 'msgpack') await emit(form, all);
}
