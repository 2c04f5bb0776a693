import type pg from 'pg';
import type { Store } from '../../db/transaction.ts';
import type { Db } from '../../db/read.ts';
import { Problem } from '../../kernel/problem.ts';
import { LINK_SECONDS, linkUrl, makeLink } from '../../modules/people/person.verbs.ts';
import { removeTotp } from './factors.ts';
import type { LoginAudit } from './types.ts';

interface Reset {
  readonly name: string;
  readonly login_link: string;
  readonly ends_at: string;
}

/**
 * A new link for a person who cannot log in.
 * @throws Problem not-found, conflict
 */
export async function resetPerson(
  store: Store,
  pool: pg.Pool,
  name: string,
  { secondFactor = false, audit, actor, requestId }: { secondFactor?: boolean; audit?: LoginAudit | undefined; actor: string; requestId?: string },
): Promise<Reset> {
  const { rows } = await pool.query<{ id: number; name: string; source: string; state: string }>(
    'select id::float8 as id, name, source, state from person where name = $1',
    [name],
  );
  const person = rows[0];
  if (!person) throw new Problem('not-found', `There is no person '${name.slice(0, 100)}'`);
  if (person.source !== 'local') throw new Problem('conflict', `${person.name} logs in through a directory (${person.source}); the password is kept there`);
  if (person.state !== 'active') throw new Problem('conflict', `${person.name} is disabled; set the state to active first`);
  const link = linkUrl(store, await makeLink(store.orm.em.fork().getKysely() as unknown as Db, person.id));
  const about = { person: person.id, name: person.name, actor, requestId };
  await audit?.(pool, { kind: 'link_made', ...about });
  if (secondFactor && (await removeTotp(pool, person.id))) await audit?.(pool, { kind: 'second_factor_removed', ...about });
  return { name: person.name, login_link: link, ends_at: new Date(Date.now() + LINK_SECONDS * 1000).toISOString() };
}
