import { Problem } from './problem.ts';

/** The representations that Corral serves. */
export const media = {
  json: 'application/json',
  msgpack: 'application/msgpack',
  html: 'text/html; charset=utf-8',
  yaml: 'application/yaml',
  ndjson: 'application/x-ndjson',
  events: 'text/event-stream',
  text: 'text/plain; charset=utf-8',
} as const;

export type Format = keyof typeof media;

const aliases: Readonly<Record<string, Format>> = {
  'application/json': 'json',
  'application/problem+json': 'json',
  'application/msgpack': 'msgpack',
  'application/x-msgpack': 'msgpack',
  'application/vnd.msgpack': 'msgpack',
  'text/html': 'html',
  'application/xhtml+xml': 'html',
  'application/yaml': 'yaml',
  'application/x-yaml': 'yaml',
  'text/yaml': 'yaml',
  'application/x-ndjson': 'ndjson',
  'text/event-stream': 'events',
  'text/plain': 'text',
};

interface Range {
  readonly type: string;
  readonly q: number;
}

function parse(accept: string): Range[] {
  return accept.split(',').map((part) => {
    const [type = '', ...params] = part.split(';').map((piece) => piece.trim().toLowerCase());
    const q = params.find((param) => param.startsWith('q='));
    const value = q === undefined ? 1 : Number(q.slice(2));
    return { type, q: Number.isFinite(value) ? Math.min(1, Math.max(0, value)) : 0 };
  });
}

function quality(ranges: readonly Range[], format: Format): number {
  let best = { specificity: -1, q: 0 };
  for (const range of ranges) {
    const specificity = aliases[range.type] === format ? 2 : range.type === `${media[format].split('/', 1)[0]}/*` ? 1 : range.type === '*/*' ? 0 : -1;
    if (specificity > best.specificity) best = { specificity, q: range.q };
  }
  return best.q;
}

/**
 * The format to answer in (RFC 9110, 12.5.1): the most specific range that names a format gives its
 * quality, q=0 excludes, ties go to the order of `offered`.
 * @throws Problem not-acceptable
 */
export function negotiate(accept: string | null | undefined, offered: readonly Format[]): Format {
  if (!accept || accept === '*/*') return offered[0]!;
  const ranges = parse(accept);
  let chosen: Format | undefined;
  let best = 0;
  for (const format of offered) {
    const q = quality(ranges, format);
    if (q > best) [chosen, best] = [format, q];
  }
  if (!chosen) {
    const types = offered.map((format) => media[format].split(';', 1)[0]).join(', ');
    throw new Problem('not-acceptable', `Accept ${accept.slice(0, 200)} excludes all that can be served here: ${types}`);
  }
  return chosen;
}

/** Splits `hv1.example.com.yaml` into the name and the format that its ending names, if any. */
export function splitSuffix(name: string, offered: readonly Format[]): { name: string; format?: Format } {
  const match = /^(.+)\.(json|msgpack|html|yaml)$/s.exec(name);
  const format = match?.[2] as Format | undefined;
  return match && format && offered.includes(format) ? { name: match[1]!, format } : { name };
}

/** Whether a page is taken, as browsers say when somebody goes somewhere. */
export function wantsPage(accept: string | undefined): boolean {
  return accept?.includes('text/html') ?? false;
}
