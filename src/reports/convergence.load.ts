import { sql, type RawBuilder } from 'kysely';
import type { Model } from '../db/catalog.ts';
import type { Db } from '../db/read.ts';
import type { Store } from '../db/transaction.ts';
import type { DocumentBody } from '../documents/document.ts';
import { openBody } from '../documents/rebuild.load.ts';
import { statusSql } from '../modules/reports/status.ts';
import { hostConvergence, together, type Convergence, type Known } from './convergence.ts';
import { entryDigests } from './entries.ts';

interface LoadedRow extends Known {
  readonly id: number;
  readonly node_id: number;
  readonly entry: string | null;
}

/** What secrets are opened with, and the nouns as they are seen. */
type Seen = Pick<Store, 'secrets' | 'catalog'>;

/**
 * How far the hosts are with things of one noun, by id: those hosts that the catalog has. A thing whose hosts are all
 * hidden is left out. Two statements at most, whatever the number.
 * @param model of a noun whose declaration has `observed`
 */
export async function convergencesOf(store: Seen, db: Db, model: Model, ids: readonly number[]): Promise<Map<number, Convergence>> {
  const { observed } = model.resource;
  if (!observed) throw new Error(`no host builds a ${model.resource.noun}`);
  if (ids.length === 0) return new Map();
  const { source } = store.catalog.byNoun('node');
  const held = observed.held?.('t') ?? sql`null::text`;
  const json = await sql<{ row: LoadedRow }>`select row_to_json(x) as row from (
    select t.id, n.id as node_id, n.fqdn, n.state as node_state, ${observed.kind ?? null}::text as kind, ${observed.name('t')} as name,
      ${observed.desired?.('t') ?? sql`'present'`} as desired, ${store.catalog === store.catalog.whole ? held : named(source, held)} as held, t.updated_at as changed_at, d.number || '-' || d.hash as current, d.built_at,
      ${statusSql('s')} as status, s.outcome, s.message, s.served, s.served_at, s.applied, s.applied_at, s.reported_at, s.heartbeat_at, s.running_since,
      o.state, o.pending, o.result, o.error, o.result_at, o.observed_at, o.entry
    from ${sql.id(model.table)} as t
      left join lateral (${observed.nodes('t')}) as h (node_id) on true left join ${source} as n on n.id = h.node_id
      left join document d on d.node_id = n.id left join node_status s on s.node_id = n.id
      left join observation o on o.node_id = n.id and o.kind = ${observed.kind ?? null}::text and o.name = ${observed.name('t')}
    where t.id = any(${[...ids]}::bigint[]) and (h.node_id is null or n.id is not null) order by t.id, n.fqdn) x`.execute(db);
  const rows = json.rows.map(({ row }) => row);
  const behind = rows.filter((row) => row.node_id !== null && row.entry !== null && row.applied !== row.current);
  const digests = await digestsOf(store, db, [...new Set(behind.map((row) => row.node_id))]);
  const hosts = new Map<number, ReturnType<typeof hostConvergence>[]>();
  for (const row of rows) {
    const now = digests.get(row.node_id)?.get(`${row.kind} ${row.name}`);
    const list = hosts.get(row.id) ?? [];
    hosts.set(row.id, list);
    list.push(hostConvergence({ ...row, kind: row.kind ?? undefined, same: now === undefined ? undefined : now === row.entry }));
  }
  return new Map([...hosts].map(([id, list]) => [id, together(list)]));
}

/** SQL of a host's name; empty where it is not seen. */
const named = (nodes: RawBuilder<unknown>, fqdn: RawBuilder<unknown>): RawBuilder<unknown> =>
  sql`(select coalesce((select x.fqdn from ${nodes} as x where x.fqdn = y.held), '') from (select ${fqdn} as held) as y where y.held is not null)`;

/** How far the hosts are with one thing; undefined when there is none of this id, or none of its hosts is seen. */
export async function convergenceOf(store: Seen, db: Db, model: Model, id: number): Promise<Convergence | undefined> {
  return (await convergencesOf(store, db, model, [id])).get(id);
}

async function digestsOf({ secrets }: Pick<Store, 'secrets'>, db: Db, nodes: readonly number[]): Promise<Map<number, Map<string, string>>> {
  if (nodes.length === 0) return new Map();
  const { rows } = await sql<{
    node_id: string;
    body: DocumentBody;
  }>`select node_id, v.body from document join document_version v using (node_id, number) where node_id = any(${[...nodes]}::bigint[])`.execute(db);
  return new Map(rows.map((row) => [Number(row.node_id), entryDigests(openBody(secrets, Number(row.node_id), row.body))]));
}
