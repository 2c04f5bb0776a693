/** Place holders for what a change makes up: ids, and the names, numbers and uuids that come with them. */
import type { EntityProperty } from '@mikro-orm/core';
import type { Model } from '../db/catalog.ts';
import type { Json } from '../documents/canonical.ts';
import { put } from '../documents/canonical.ts';
import { isObject } from '../documents/classes.ts';
import type { DocumentBody } from '../documents/document.ts';
import { bridgeName, cableNames, vlanName } from '../documents/names.ts';
import type { NetRow } from './revert.net.ts';

/** Knows what was made up in one change. */
export interface Generated {
  /** The id of a row, or the place holder of one that this change makes. */
  id(table: string, id: number): Json;
  /** A value with place holders in all of its texts and keys. */
  text(value: Json): Json;
  string(text: string): string;
  /** The SQL type of a column; empty when it is not known. */
  type(table: string, column: string): string;
  /** The table that a column refers to. */
  target(table: string, column: string): string | undefined;
}

/** Whatever may be the name of something that has an id in it, a uuid, or the name of a device. */
const NAME =
  /(?<![\w-])(?:vm-(?<vm>\d+)|vol-(?<vol>\d+)|(?<bridge>br-)?(?<nicvm>\d+)-(?<nic>\d+)|(?<uuid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})|(?<mac>(?:[0-9a-f]{2}:){5}[0-9a-f]{2})|(?<cable>c[ab][0-9a-f]{12})|(?<vlan>cv\d+-)(?<parent>[0-9a-f]{8}))(?![\w-])/g;
/** The id in a domain's metadata: src/documents/libvirt/identity.ts. */
const METADATA = /(<corral:vm [^>]*\bid=['"])(\d+)(?=['"])/;

export function generatedIn(
  models: ReadonlyMap<string, Model>,
  rows: readonly NetRow[],
  documents: readonly { readonly before: DocumentBody | null; readonly after: DocumentBody | null }[],
): Generated {
  const properties = new Map([...models].map(([table, model]) => [table, columnsOf(model)]));
  const type = (table: string, column: string): string => properties.get(table)?.get(column)?.type ?? '';
  const ids = new Map<string, Map<number, string>>();
  const words = new Map<string, string>();
  for (const row of [...rows].filter((one) => one.what === 'made' && one.id !== null).sort((a, b) => a.id! - b.id!)) {
    const mine = ids.get(row.table) ?? new Map<number, string>();
    ids.set(row.table, mine);
    const place = `#${row.table}.${mine.size + 1}`;
    mine.set(row.id!, place);
    for (const [column, value] of Object.entries(row.after)) {
      if (type(row.table, column) === 'uuid') words.set(String(value).toLowerCase(), `${place}.${column}`);
      if (column === 'mac' && value === macOf(row.id!)) words.set(value, `${place}.mac`);
    }
  }
  const known = (table: string, id: string | undefined): string | undefined => (id === undefined ? undefined : ids.get(table)?.get(Number(id)));
  cables(rows, documents, (vm) => known('vm', vm), words);
  const string = (text: string): string => {
    if (ids.size === 0) return text;
    const out = text.replaceAll(NAME, (whole: string, ...rest: unknown[]) => {
      const at = rest.at(-1) as Record<string, string | undefined>;
      if (at['vm'] !== undefined) return known('vm', at['vm']) ?? whole;
      if (at['vol'] !== undefined) return known('volume', at['vol']) ?? whole;
      if (at['nic'] !== undefined) return known('vm', at['nicvm']) === undefined ? whole : `${at['bridge'] ?? ''}${known('vm', at['nicvm'])}-${at['nic']}`;
      if (at['parent'] !== undefined) return words.has(at['parent']) ? `${at['vlan']}${words.get(at['parent'])}` : whole;
      return words.get(whole) ?? whole;
    });
    return out.replace(METADATA, (whole, start: string, id: string) => (known('vm', id) === undefined ? whole : start + known('vm', id)));
  };
  const text = (value: Json): Json => {
    if (typeof value === 'string') return string(value);
    if (Array.isArray(value)) return value.map(text);
    if (!isObject(value)) return value;
    const entries = Object.entries(value).map(([key, item]) => [string(key), text(item)] as const);
    const out: Record<string, Json> = {};
    for (const [key, item] of entries.sort(([a], [b]) => (a < b ? -1 : 1))) put(out, key, item);
    return out;
  };
  return {
    id: (table, id) => ids.get(table)?.get(id) ?? id,
    text,
    string,
    type,
    target: (table, column) => properties.get(table)?.get(column)?.target ?? (/^(\w+)_id$/.exec(column)?.[1] as string | undefined),
  };
}

/** The MAC address that the trigger vm_interface_defaults makes of an id. */
const macOf = (id: number): string => `02:c0:${(id.toString(16).padStart(8, '0').match(/../g) ?? []).join(':')}`;

function columnsOf(model: Model): Map<string, { readonly type: string; readonly target: string | undefined }> {
  const out = new Map<string, { type: string; target: string | undefined }>();
  for (const prop of Object.values(model.meta.properties as Record<string, EntityProperty>)) {
    const refers = prop.kind === 'm:1' || prop.kind === '1:1';
    for (const name of prop.fieldNames ?? []) out.set(name, { type: prop.columnTypes?.[0] ?? '', target: refers ? prop.targetMeta?.tableName : undefined });
  }
  return out;
}

/** Names of devices that are hashes of names that have an id in them: src/documents/names.ts. */
function cables(
  rows: readonly NetRow[],
  documents: readonly { readonly after: DocumentBody | null }[],
  placeOf: (vm: string) => string | undefined,
  words: Map<string, string>,
): void {
  const cards = rows.filter((row) => row.table === 'vm_interface' && row.what === 'made');
  const mine = cards.flatMap(({ after }) => {
    const vm = placeOf(String(after['vm_id']));
    return vm === undefined ? [] : [{ name: `${String(after['vm_id'])}-${String(after['number'])}`, place: `${vm}-${String(after['number'])}` }];
  });
  if (mine.length === 0) return;
  const sections = documents.map(({ after }) => (isObject(after?.['hypervisor']) ? after['hypervisor']['bridges'] : undefined));
  const networks = new Set(sections.flatMap((bridges) => (isObject(bridges) ? Object.keys(bridges).filter((name) => name.startsWith('cn-')) : [])));
  for (const card of mine) {
    words.set(vlanName(bridgeName(card), 0).slice('cv0-'.length), card.place);
    for (const network of networks) for (const [i, name] of cableNames(card, network).entries()) words.set(name, `#cable.${card.place}.${network}.${i}`);
  }
}
