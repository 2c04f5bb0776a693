import { sql } from 'kysely';
import { timeSql } from '../changes/present.ts';
import type { Db } from '../db/read.ts';
import type { ChangeNote } from './types.ts';
import { nameOf, type Setting } from './explain.ts';

/** A class's parameter is asked for by both names. */
function parts({ kind, key }: Setting): [string, string] {
  const at = key.lastIndexOf('::');
  return kind === 'class_parameter' ? [key.slice(0, at), key.slice(at + 2)] : [key, ''];
}

/**
 * The change that set each of these in its layer: the newest one that altered just this key there, else the one
 * that made the layer. Null: neither is kept any more.
 */
export async function changesOf(db: Db, settings: readonly Setting[]): Promise<(setting: Setting) => ChangeNote | null> {
  const found = new Map<string, ChangeNote>();
  const id = (one: Setting): string => `${one.layer} ${nameOf(one)}`;
  if (settings.length > 0) {
    const split = settings.map(parts);
    const value = (
      side: 'before' | 'after',
    ) => sql`case i.kind when 'data' then jsonb_build_array(r.${sql.id(side)} -> 'data' -> i.key, r.${sql.id(side)} -> 'secrets' -> i.key)
      when 'parameter' then r.${sql.id(side)} -> 'parameters' -> i.key when 'class' then to_jsonb(jsonb_exists(r.${sql.id(side)} -> 'classes', i.key))
      else r.${sql.id(side)} -> 'classes' -> i.key -> i.parameter end`;
    const { rows } = await sql<ChangeNote & { i: number }>`select i.i::float8 as i, c.number::float8 as number, ${timeSql(sql`c.at`)} as at, c.actor, c.message
      from unnest(${settings.map((one) => one.layer)}::bigint[], ${settings.map((one) => one.kind)}::text[], ${split.map(([key]) => key)}::text[], ${split.map(([, parameter]) => parameter)}::text[])
        with ordinality as i (layer, kind, key, parameter, i)
      cross join lateral (select c.* from change_row r join change c on c.id = r.change_id where r.noun = 'layer' and r.row_id = i.layer and c.number is not null
        and (r.op = 'insert' or (r.op = 'update' and ${value('before')} is distinct from ${value('after')})) order by c.number desc limit 1) c`.execute(db);
    for (const { i, number, at, actor, message } of rows) found.set(id(settings[i - 1]!), { number, at, actor, message });
  }
  return (setting) => found.get(id(setting)) ?? null;
}
