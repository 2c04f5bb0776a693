import type { Model } from '../db/catalog.ts';
import type { Row } from '../db/read.ts';
import type { Values } from '../db/transaction.ts';
import { sameValue } from '../fleet/change-rows.ts';
import { isRecord } from '../kernel/codec.ts';

/** Fields that every row shows and none takes; given as they are, they ask for nothing. */
const SHOWN = new Set(['id', 'version', 'created_at', 'updated_at']);

/** The body without what only repeats a read-only field of the row. */
export function withoutShown(model: Model, body: Values, row: Row): Values {
  return Object.fromEntries(Object.entries(body).filter(([name, value]) => !((SHOWN.has(name) || model.field.get(name)?.readOnly) && value === row[name])));
}

/**
 * The fields of a checked body that differ from the row. A reference that cannot be compared without the database
 * counts as another.
 * @param refs ids of the things that the row refers to
 * @param secrets what the row's write-only fields hold
 */
export function difference(model: Model, body: Values, row: Row, refs: Row, secrets: Values): Values {
  const out: Values = {};
  for (const [name, value] of Object.entries(body)) {
    const field = model.field.get(name);
    if (model.resource.extras && name in model.resource.extras) continue;
    if (!field) {
      const parts = differingParts(model.parts[name] ?? {}, value, row[name]);
      if (Object.keys(parts).length > 0) out[name] = parts;
    } else if (field.writeOnly) {
      if (!Object.hasOwn(secrets, name) || JSON.stringify(secrets[name]) !== JSON.stringify(value)) out[name] = value;
    } else if (field.ref !== undefined ? !sameRef(value, row[name], refs[name]) : !sameValue(field, value, row[name])) {
      out[name] = value;
    }
  }
  return out;
}

function sameRef(given: unknown, key: unknown, id: unknown): boolean {
  if (given === null || key === null) return given === key;
  if (/^\d{1,15}$/.test(String(given))) return Number(given) === id;
  return given === key || String(given).toLowerCase() === key;
}

function differingParts(models: Readonly<Record<string, Model>>, given: unknown, now: unknown): Values {
  const out: Values = {};
  if (!isRecord(given)) return out;
  const shown = isRecord(now) ? now : {};
  for (const [name, part] of Object.entries(given)) {
    const current = shown[name];
    if (part === undefined || (part === null && current === undefined)) continue;
    const same = isRecord(part) && isRecord(current) && models[name] && Object.keys(difference(models[name], part, current, {}, {})).length === 0;
    if (!same) out[name] = part;
  }
  return out;
}
