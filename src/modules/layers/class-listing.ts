import { isRecord } from '../../kernel/codec.ts';

const NAME = /^(?:::)?[a-z][a-z0-9_]*(?:::[a-z][a-z0-9_]*)*$/;

/** A line of a listing that names no class. */
export interface StrangeLine {
  readonly line: number;
  readonly text: string;
}

/**
 * The classes of a listing, sorted, each once. It may be
 * - what puppetserver answers to GET /puppet/v3/environment_classes, or a JSON list of names;
 * - lines of names, with `#` comments, `-` of a YAML list, quotes or a comma around them;
 * - lines of `grep -r '^class' modules`: `ntp/manifests/init.pp:class ntp (`;
 * - paths of manifests, as find prints them: modules/ntp/manifests/server.pp is ntp::server.
 * Lines of `puppet generate types` that name resource types, which are no classes, are passed over.
 */
export function readClassListing(text: string): { readonly classes: readonly string[]; readonly strange: readonly StrangeLine[] } {
  const found = new Set<string>();
  const strange: StrangeLine[] = [];
  const json = parsed(text);
  if (json !== undefined) namesIn(json, found);
  else {
    for (const [i, line] of text.split('\n').entries()) {
      const name = classOf(line);
      if (name === undefined) strange.push({ line: i + 1, text: line.trim().slice(0, 100) });
      else if (name !== '') found.add(name.replace(/^::/, ''));
    }
  }
  return { classes: [...found].sort(), strange };
}

function parsed(text: string): unknown {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Every class that an answer of puppetserver, or a list, names. */
function namesIn(value: unknown, found: Set<string>): void {
  if (Array.isArray(value)) {
    for (const one of value) {
      if (typeof one === 'string') addName(one, found);
      else if (isRecord(one) && typeof one['name'] === 'string') addName(one['name'], found);
      else namesIn(one, found);
    }
  } else if (isRecord(value)) {
    for (const key of ['files', 'classes']) namesIn(value[key], found);
  }
}

function addName(name: string, found: Set<string>): void {
  if (NAME.test(name)) found.add(name.replace(/^::/, ''));
}

/** The class of a line; '' for a line that says nothing, undefined for one that cannot be read. */
function classOf(line: string): string | undefined {
  const bare = line.replace(/(^|\s)#.*$/, '').trim();
  if (bare === '' || bare === '---' || /\.resource_types\b|^(Notice|Info|Warning):/.test(bare)) return '';
  const declared = /(?:^|:)\s*class\s+((?:::)?[a-z][a-z0-9_:]*)/.exec(bare)?.[1];
  if (declared !== undefined) return NAME.test(declared) ? declared : undefined;
  const place = /(?:^|\/)([a-z][a-z0-9_]*)\/manifests\/([a-z0-9_/]+)\.pp$/.exec(bare);
  if (place) {
    const [, module = '', path = ''] = place;
    const name = path === 'init' ? module : [module, ...path.split('/')].join('::');
    return NAME.test(name) ? name : undefined;
  }
  const name = bare
    .replace(/^-\s+/, '')
    .replace(/,$/, '')
    .replace(/^(["'])(.*)\1$/, '$2');
  return NAME.test(name) ? name : undefined;
}
