import { createHash, randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import type { Db } from '../../db/read.ts';
import type { Hooks, Store, Tx, Values } from '../../db/transaction.ts';
import { Problem } from '../../kernel/problem.ts';

/** Seconds that a link is good for. */
export const LINK_SECONDS = 3600;

const hashLink = (link: string): Buffer => createHash('sha256').update(link).digest();

/** Where a link leads: below the address of this Corral, as far as it knows that. */
export function linkUrl({ publicUrl }: Pick<Store, 'publicUrl'>, link: string): string {
  const path = `/login/first?link=${link}`;
  return publicUrl === undefined ? path : new URL(path, publicUrl).href;
}

/**
 * Makes a link with which a person sets a password, once; those made before are good no more.
 * @param person undefined: the link makes the first person, an admin
 */
export async function makeLink(db: Db, person: number | undefined): Promise<string> {
  const link = randomBytes(32).toString('base64url');
  await sql`delete from login_link where person_id is not distinct from ${person ?? null}::bigint and used_at is null`.execute(db);
  await sql`insert into login_link (hash, person_id, ends_at) values (${hashLink(link)}, ${person ?? null}, now() + make_interval(secs => ${LINK_SECONDS}))`.execute(
    db,
  );
  return link;
}

/** Whom a link is for. */
export interface LinkOf {
  /** Null: it makes the first person. */
  readonly person: number | null;
  readonly name: string | null;
  readonly full_name: string | null;
  readonly email: string | null;
}

const gone = (): Problem => new Problem('gone', 'This link has been used, has ended, or was replaced by a newer one; ask an admin for another');

/** Looks at a link without using it. @throws Problem gone */
export async function readLink(db: Db, link: string): Promise<LinkOf> {
  const { rows } =
    await sql<LinkOf>`select l.person_id::float8 as person, p.name, p.full_name, p.email from login_link l left join person p on p.id = l.person_id
    where l.hash = ${hashLink(link)} and l.used_at is null and l.ends_at > now() and p.state is distinct from 'disabled' and coalesce(p.source, 'local') = 'local'`.execute(
      db,
    );
  if (!rows[0]) throw gone();
  return rows[0];
}

/** Uses a link up. Of two that come at once the second waits for the first one's end. @throws Problem gone */
export async function useLink(tx: Tx, link: string): Promise<LinkOf> {
  const { rows } = await sql`update login_link set used_at = now() where hash = ${hashLink(link)} and used_at is null and ends_at > now() returning id`.execute(
    tx.db,
  );
  if (rows.length === 0) throw gone();
  const { rows: found } =
    await sql<LinkOf>`select l.person_id::float8 as person, p.name, p.full_name, p.email from login_link l left join person p on p.id = l.person_id
    where l.hash = ${hashLink(link)} and p.state is distinct from 'disabled' and coalesce(p.source, 'local') = 'local'`.execute(tx.db);
  if (!found[0]) throw gone();
  return found[0];
}

/** Whoever makes an admin, or touches one, must be one. */
async function guardAdmin(tx: Tx, values: Values, id?: number): Promise<Values> {
  const { rights } = tx.store;
  if (rights === undefined || rights.mayEverywhere('*:*')) return values;
  const { rows } = id === undefined ? { rows: [] } : await sql`select from person where id = ${id} and admin`.execute(tx.db);
  if (values['admin'] === true || rows.length > 0) rights.demand('*:*', { everywhere: true });
  return values;
}

export const personHooks: Hooks = {
  prepare: (tx, input) => guardAdmin(tx, input),
  change: (tx, id, patch) => guardAdmin(tx, patch, id),
  deleting: async (tx, id) => void (await guardAdmin(tx, {}, id)),
  /* With it the person sets the first password; nobody else ever knows one. */
  created: async (tx, id) => ({ login_link: linkUrl(tx.store, await makeLink(tx.db, id)) }),
  changed: async (tx, id, patch) => {
    if (patch['state'] === 'disabled') await sql`delete from session where person_id = ${id}`.execute(tx.db);
  },
};
