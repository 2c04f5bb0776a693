import { sql } from 'kysely';
import { timeSql } from '../changes/present.ts';
import type { Db } from '../db/read.ts';
import type { DocumentBody } from '../documents/document.ts';
import { openBody } from '../documents/rebuild.load.ts';
import type { SecretBox } from '../kernel/secret.ts';
import { dig, nameOf, type Chosen } from './explain.ts';
import { valuesOf, type Placed } from './places.ts';
import type { ChangeNote, Since } from './types.ts';

interface Version {
  readonly number: number;
  readonly hash: string;
  readonly body: DocumentBody;
  readonly built_at: string;
  readonly change: ChangeNote | null;
}

/** Bodies of hypervisors are large: few are in memory at once. */
const BATCH = 10;

const versions = (db: Db, node: number, before: number, limit: number): Promise<Version[]> =>
  sql<Version>`select v.number, v.hash, v.body, ${timeSql(sql`v.built_at`)} as built_at,
    case when c.number is not null then json_build_object('number', c.number, 'at', ${timeSql(sql`c.at`)}, 'actor', c.actor, 'message', c.message) end as change
    from document_version v left join change c on c.id = v.change_id where v.node_id = ${node} and v.number < ${before} order by v.number desc limit ${limit}`
    .execute(db)
    .then(({ rows }) => rows);

/**
 * From which version of its document on each of these values has been as it is.
 * @param chosen with their values in clear, which are compared and shown to nobody
 * @param number the newest version's
 * @param limit most versions to look at
 */
export async function sinceOf(
  db: Db,
  secrets: SecretBox,
  node: number,
  number: number,
  chosen: readonly Chosen[],
  limit: number,
): Promise<(placed: Placed) => Since> {
  const paths = new Map(chosen.map(({ placed, path }) => [nameOf(placed), path]));
  const textOf = (one: Placed): string | undefined => JSON.stringify(dig(one.value, paths.get(nameOf(one))!));
  const texts = new Map(chosen.map(({ placed }) => [nameOf(placed), textOf(placed)]));
  const open = new Set(texts.keys());
  const found = new Map<string, Since>();
  let last: Since | undefined;
  let expected = number;
  const close = (names: Iterable<string>, since: Since): void => {
    for (const name of names) {
      found.set(name, since);
      open.delete(name);
    }
  };
  for (let looked = 0; open.size > 0 && looked <= limit;) {
    const rows = await versions(db, node, expected + 1, looked === 0 ? 1 : Math.min(BATCH, limit + 1 - looked));
    for (const row of rows) {
      if (row.number !== expected) break;
      const version = `${row.number}-${row.hash}`;
      if (last) {
        const then = new Map(
          valuesOf(openBody(secrets, node, row.body), version).flatMap((one): [string, string | undefined][] =>
            open.has(nameOf(one)) ? [[nameOf(one), textOf(one)]] : [],
          ),
        );
        close(
          [...open].filter((name) => then.get(name) !== texts.get(name)),
          last,
        );
      }
      const { built_at, change } = row;
      last = { version, built_at, change, or_earlier: false };
      expected--;
      looked++;
    }
    if (rows.length === 0 || rows.at(-1)!.number !== expected + 1 || expected === 0) break;
  }
  close([...open], { ...last!, or_earlier: expected > 0 });
  return (placed) => found.get(nameOf(placed))!;
}
