import { sql } from 'kysely';
import type { Model } from '../db/catalog.ts';
import { invalid } from '../db/check.ts';
import { mapEach } from '../db/many.ts';
import { idOfKey } from '../db/query.ts';
import type { Tx, Values } from '../db/transaction.ts';

/** Keys that one statement looks up. */
const KEYS = 200;

/**
 * Replaces keys by ids, each key once however many inputs name it.
 * @throws RefusedAt with Problem invalid that names each reference to nothing
 */
export async function resolveMany(tx: Tx, model: Model, inputs: readonly Values[]): Promise<Values[]> {
  const { catalog } = tx.store;
  const fields = model.fields.filter((field) => field.ref !== undefined);
  const found = new Map<string, number | undefined>();
  const spot = (noun: string, value: unknown): string => `${noun} ${String(value)}`;
  const wanted = new Map<string, { readonly noun: string; readonly key: string }>();
  for (const input of inputs)
    for (const field of fields)
      if (input[field.name] != null) wanted.set(spot(field.ref!, input[field.name]), { noun: field.ref!, key: String(input[field.name]) });
  const all = [...wanted];
  for (let i = 0; i < all.length; i += KEYS) {
    const some = all.slice(i, i + KEYS);
    const columns = some.map(([, { noun, key }], j) => sql`(${idOfKey(catalog, catalog.byNoun(noun), key)})::float8 as ${sql.id(`r${j}`)}`);
    const { rows } = await sql<Record<string, number | null>>`select ${sql.join(columns)}`.execute(tx.db);
    for (const [j, [name]] of some.entries()) found.set(name, rows[0]![`r${j}`] ?? undefined);
  }
  return mapEach(inputs, (input) => {
    const out = { ...input };
    const faults = fields.flatMap((field) => {
      const value = input[field.name];
      if (value == null) return [];
      out[field.name] = found.get(spot(field.ref!, value));
      const title = catalog.byNoun(field.ref!).resource.title;
      return out[field.name] === undefined
        ? [{ pointer: `/${field.name}`, message: `there is no ${/^[A-Z]{2}/.test(title) ? title : title.toLowerCase()} '${String(value)}'` }]
        : [];
    });
    if (faults.length > 0) throw invalid(faults);
    return out;
  });
}
