/** The fixtures of documents: one folder a case, an aggregate and what is made from it. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildDocument, encOf, hieraOf, pillarOf, toYaml, topsOf } from '../../src/documents/index.ts';
import type { NodeAggregate } from '../../src/documents/types.ts';

/** Where the cases are. */
export const FIXTURES = fileURLToPath(new URL('../../fixtures/documents/', import.meta.url));

/** The version that the expected text has: a document's hash is in `document.json`. */
export const VERSION = '1-0123456789abcdef';

/** Names of the cases. */
export function cases(): string[] {
  return readdirSync(FIXTURES).sort();
}

/** The aggregate of a case. */
export function aggregateOf(name: string): NodeAggregate {
  return JSON.parse(readFileSync(join(FIXTURES, name, 'aggregate.json'), 'utf8')) as NodeAggregate;
}

/** All files that a case's aggregate gives, by name: documents, envelopes, and each XML text by itself. */
export function rendered(name: string): Record<string, string> {
  /* `json` is the body once more, as text. */
  const { json: _text, ...document } = buildDocument(aggregateOf(name));
  const { body } = document;
  const json = (data: unknown): string => `${JSON.stringify(data, null, 2)}\n`;
  const files: Record<string, string> = {
    'document.json': json(document),
    'enc.yaml': toYaml(encOf(body, VERSION)),
    'hiera.json': json(hieraOf(body, VERSION)),
    'pillar.json': json(pillarOf(body, VERSION)),
    'tops.json': json(topsOf(body)),
  };
  const { hypervisor } = body as { hypervisor?: Record<string, Record<string, { xml?: string }>> };
  for (const [noun, entries] of Object.entries(hypervisor ?? {})) {
    for (const [key, { xml }] of Object.entries(entries)) {
      const file = key.replaceAll(/[^A-Za-z0-9.-]+/g, '_');
      if (xml !== undefined) files[`${noun.replace(/s$/, '')}.${file}.xml`] = xml;
    }
  }
  return files;
}

/** The expected files of a case by name. */
export function expected(name: string): Record<string, string> {
  const names = readdirSync(join(FIXTURES, name)).filter((file) => file !== 'aggregate.json');
  return Object.fromEntries(names.map((file) => [file, readFileSync(join(FIXTURES, name, file), 'utf8')]));
}

/** Replaces the expected files of a case. */
export function update(name: string): void {
  for (const file of Object.keys(expected(name))) rmSync(join(FIXTURES, name, file));
  mkdirSync(join(FIXTURES, name), { recursive: true });
  for (const [file, text] of Object.entries(rendered(name))) writeFileSync(join(FIXTURES, name, file), text);
}
