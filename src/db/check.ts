import { sql, type RawBuilder } from 'kysely';
import type { z } from 'zod';
import { isRecord } from '../kernel/codec.ts';
import { pointer, Problem, type Fault } from '../kernel/problem.ts';
import type { Field, Model } from './catalog.ts';
import { preparedFor } from './prepared.ts';
import { idOfKey } from './query.ts';
import type { Tx, Values } from './transaction.ts';

/** Faults of one input that are told. */
const MAX_FAULTS = 50;

/** Checks input against a schema; every fault at once, with its place. @throws Problem invalid */
export function check(schema: z.ZodType<Values>, input: unknown, prefix: readonly PropertyKey[] = []): Values {
  if (!isRecord(input))
    throw new Problem('invalid', 'The body must be an object with the fields of the thing', {
      faults: [{ pointer: pointer(prefix), message: 'must be an object' }],
    });
  const parsed = schema.safeParse(input, { reportInput: true });
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.slice(0, MAX_FAULTS).flatMap((issue) => faultsOf(issue, prefix));
  throw invalid(faults);
}

function faultsOf(issue: z.core.$ZodIssue, prefix: readonly PropertyKey[]): Fault[] {
  const path = [...prefix, ...issue.path];
  if (issue.code === 'unrecognized_keys')
    return issue.keys.slice(0, MAX_FAULTS).map((key) => ({ pointer: pointer([...path, key.slice(0, 100)]), message: 'is not a field of this; see /docs' }));
  if (issue.code === 'invalid_type' && issue.input === undefined) return [{ pointer: pointer(path), message: 'is needed' }];
  return [{ pointer: pointer(path), message: issue.message.replace(/^Invalid input: /, '') }];
}

export function invalid(faults: readonly Fault[]): Problem {
  return new Problem('invalid', faults.map((one) => `${one.pointer} ${one.message}`).join('; '), { faults });
}

/**
 * Replaces keys by ids: one statement for all references of the input.
 * @throws Problem invalid that names each reference to nothing
 */
export async function resolve(tx: Tx, model: Model, input: Values): Promise<Values> {
  const refs: [Field, unknown][] = model.fields
    .filter((field) => field.ref !== undefined && input[field.name] != null)
    .map((field) => [field, input[field.name]]);
  if (refs.length === 0) return input;
  const columns = refs.map(([field, value], i): RawBuilder<unknown> => {
    const target = tx.store.catalog.byNoun(field.ref!);
    return sql`${idOfKey(tx.store.catalog, target, String(value))} as ${sql.id(`r${i}`)}`;
  });
  const { rows } = await sql<Record<string, string | null>>`${preparedFor(tx.store.catalog)}select ${sql.join(columns)}`.execute(tx.db);
  const out = { ...input };
  const faults: Fault[] = [];
  for (const [i, [field, value]] of refs.entries()) {
    const found = rows[0]![`r${i}`];
    if (found == null) {
      const title = tx.store.catalog.byNoun(field.ref!).resource.title;
      faults.push({ pointer: `/${field.name}`, message: `there is no ${/^[A-Z]{2}/.test(title) ? title : title.toLowerCase()} '${String(value)}'` });
    } else {
      out[field.name] = Number(found);
    }
  }
  if (faults.length > 0) throw invalid(faults);
  return out;
}
