import { sql } from 'kysely';
import type pg from 'pg';
import { insert } from '../../db/write.ts';
import { transaction, withOrigin, type Store } from '../../db/transaction.ts';
import { Problem } from '../../kernel/problem.ts';
import { PERSON_NAME } from '../../modules/people/person.ts';
import type { Directory } from '../directory.ts';

/** Groups that are kept of a person, and the longest name of one. */
const GROUPS = 1000;
const GROUP_NAME = 500;

export interface FoundPerson {
  readonly id: number;
  readonly name: string;
  readonly admin: boolean;
  readonly state: string;
  /** It was made just now. */
  readonly made: boolean;
}

type Kept = Omit<FoundPerson, 'made'> & { readonly full_name: string | null; readonly email: string | null };

const text = (value: string | undefined, longest: number): string | null => {
  const plain = value?.replaceAll(/[\0-\x1f]/g, ' ').trim();
  return plain === undefined || plain === '' ? null : plain.slice(0, longest);
};

/**
 * The person that a directory knows, made at the first login and brought up to date at each. Who it is says the
 * subject: a name that somebody of another source has is never taken over.
 * @throws Problem conflict, invalid
 */
export async function personOfDirectory(store: Store, pool: pg.Pool, directory: Directory): Promise<FoundPerson> {
  const name = directory.name.trim().toLowerCase();
  if (!PERSON_NAME.test(name)) throw new Problem('invalid', `The directory calls you '${name.slice(0, 100)}', which is no name that Corral takes`);
  const wanted = { name, full_name: text(directory.full_name, 200), email: text(directory.email, 254) };
  const known = await pool.query<Kept>(`select id::float8 as id, name, admin, state, full_name, email from person where source = $1 and external = $2`, [
    directory.source,
    directory.subject,
  ]);
  let person: FoundPerson | undefined = known.rows[0] && { ...known.rows[0], made: false };
  const same = known.rows[0] && (Object.keys(wanted) as (keyof typeof wanted)[]).every((field) => known.rows[0]![field] === wanted[field]);
  if (!person || !same) person = await write(store, directory, wanted);
  await setGroups(pool, person.id, directory.groups);
  return person;
}

async function write(
  store: Store,
  { source, subject }: Directory,
  wanted: { name: string; full_name: string | null; email: string | null },
): Promise<FoundPerson> {
  const model = store.catalog.byNoun('person');
  return transaction(
    withOrigin(store, { actor: `${source}:${wanted.name}`, message: 'Logged in' }),
    async (tx) => {
      const { rows: known } =
        await sql<Kept>`select id::float8 as id, name, admin, state, full_name, email from person where source = ${source} and external = ${subject} for update`.execute(
          tx.db,
        );
      const { rows: others } = await sql`select from person where name = ${wanted.name} and id is distinct from ${known[0]?.id ?? null}::bigint`.execute(tx.db);
      const taken = others.length > 0;
      if (known[0]) {
        /* The name in the directory may have become that of somebody else here: then the old one stays. */
        const name = taken ? known[0].name : wanted.name;
        await sql`update person set name = ${name}, full_name = ${wanted.full_name}, email = ${wanted.email}, version = version + 1, updated_at = now()
          where id = ${known[0].id} and (name, full_name, email) is distinct from (${name}, ${wanted.full_name}::text, ${wanted.email}::text)`.execute(tx.db);
        return { ...known[0], name, made: false };
      }
      if (taken) throw new Problem('conflict', `Somebody else here is called '${wanted.name}'; ask an admin to rename one of you`);
      const id = await insert(tx, model, { ...wanted, source, external: subject });
      return { id, name: wanted.name, admin: false, state: 'active', made: true };
    },
    /* Two first logins at once: the second finds the first one's row. */
    { model, retryOn: ['person_source_external_unique', 'person_name_unique'] },
  );
}

async function setGroups(pool: pg.Pool, person: number, given: readonly string[]): Promise<void> {
  const groups = [...new Set(given.filter((one) => one !== '' && one.length <= GROUP_NAME && !one.includes('\0')))].slice(0, GROUPS);
  await pool.query('delete from person_group where person_id = $1 and name <> all($2::text[])', [person, groups]);
  await pool.query('insert into person_group (person_id, name) select $1, unnest($2::text[]) on conflict do nothing', [person, groups]);
}
