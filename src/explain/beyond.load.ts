import { sql } from 'kysely';
import type { Db } from '../db/read.ts';
import type { Json } from '../documents/canonical.ts';
import type { Layer } from '../documents/layers.ts';
import { byPrecedence } from '../modules/layers/types.ts';
import { SECRET, type Beyond } from './explain.ts';
import type { LayerNote } from './types.ts';

type Note = (layer: Pick<Layer, 'name' | 'scope' | 'target' | 'weight'>) => LayerNote;

interface Row extends Pick<Layer, 'id' | 'name' | 'scope' | 'target' | 'weight'> {
  readonly key: string;
  readonly data: Json | null;
  readonly secret: boolean;
  readonly parameter: Json | null;
  readonly class_parameter: Json | null;
  readonly has: readonly boolean[];
}

/** Most of them that are looked at. */
const LIMIT = 50;

/** The layers that set any of these names and are not among those that reach the node; their secrets stay sealed. */
export async function beyondOf(db: Db, names: readonly string[], reaching: readonly Layer[], note: Note): Promise<Beyond[]> {
  const head = sql`regexp_replace(k.key, '::[^:]*$', '')`;
  const tail = sql`regexp_replace(k.key, '^.*::', '')`;
  const has = [
    sql`(jsonb_exists(l.data, k.key) or jsonb_exists(l.secrets, k.key))`,
    sql`jsonb_exists(l.parameters, k.key)`,
    sql`jsonb_exists(l.classes, k.key)`,
    sql`coalesce(jsonb_exists(l.classes -> ${head}, ${tail}), false)`,
  ];
  const { rows } = await sql<Row>`select l.id::float8 as id, l.name, l.scope, l.weight, k.key,
      coalesce(l.environment, l.role, (select s.name from site s where s.id = l.site_id), (select c.name from customer c where c.id = l.customer_id),
        (select g.name from node_group g where g.id = l.node_group_id), (select n.fqdn from node n where n.id = l.node_id)) as target,
      l.data -> k.key as data, jsonb_exists(l.secrets, k.key) as secret, l.parameters -> k.key as parameter, l.classes -> ${head} -> ${tail} as class_parameter,
      array[${sql.join(has)}] as has
    from layer l cross join unnest(${[...names]}::text[]) as k (key)
    where l.id <> all(${reaching.map(({ id }) => id)}::bigint[]) and (${sql.join(has, sql` or `)}) order by l.id limit ${LIMIT}`.execute(db);
  return rows.sort(byPrecedence).flatMap((row): Beyond[] => {
    const { id: layer, key, secret } = row;
    const one = (kind: Beyond['kind'], value: Json): Beyond => ({ layer, kind, key, note: note(row), value, secret: kind === 'data' && secret });
    const [data, parameter, named, declared] = row.has;
    return [
      ...(data ? [one('data', secret ? SECRET : row.data)] : []),
      ...(parameter ? [one('parameter', row.parameter)] : []),
      ...(named ? [one('class', {})] : []),
      ...(declared ? [one('class_parameter', row.class_parameter)] : []),
    ];
  });
}
