import { sql, type RawBuilder } from 'kysely';
import type { Catalog, Field } from '../../db/catalog.ts';
import { invalid } from '../../db/check.ts';
import { idOfKey, parseListQuery } from '../../db/query.ts';
import type { Db } from '../../db/read.ts';
import { Problem } from '../../kernel/problem.ts';

/** Parameters of a list that choose no rows. */
const views = new Set(['sort', 'limit', 'after', 'fields', 'include', 'total']);

/** SQL that the node `t` is in the group of this selector: the filters of GET /api/v1/nodes. @throws Problem bad-request, unknown-parameter */
export function selectorSql(catalog: Catalog, selector: string): RawBuilder<unknown> {
  const { filters } = parseListQuery(catalog, catalog.byNoun('node'), new URLSearchParams(selector));
  return sql`(${sql.join(
    filters.map((one) => one.sql),
    sql` and `,
  )})`;
}

/** Refuses a selector that GET /api/v1/nodes would, and one whose members would change without a write. @throws Problem invalid */
export async function checkSelector(db: Db, catalog: Catalog, selector: string): Promise<void> {
  const refuse = (message: string): Problem => invalid([{ pointer: '/selector', message }]);
  const model = catalog.byNoun('node');
  if (selector.startsWith('?')) throw refuse('must not begin with ?');
  let at = 0;
  let filters = 0;
  for (const piece of selector.split('&')) {
    const where = `at character ${at + 1}`;
    at += piece.length + 1;
    if (piece === '') throw refuse(`has an empty filter ${where}`);
    const [[name, value] = ['', '']] = [...new URLSearchParams(piece)];
    if (!piece.startsWith(name.replaceAll(' ', '+'))) throw refuse(`must write the name '${name}' plainly, without % (${where})`);
    const field = model.field.get(name.replace(/__[a-z]+$/, ''));
    if (views.has(name)) throw refuse(`cannot hold '${name}' (${where}): it chooses no nodes`);
    if (field?.readOnly) throw refuse(`cannot hold '${name}' (${where}): that changes without a write, and documents would not follow`);
    try {
      selectorSql(catalog, piece);
    } catch (error) {
      if (error instanceof Problem) throw refuse(`${error.message.replace(/ is not a parameter of /, ' is not a filter of ')} (${where})`);
      throw error;
    }
    if (field?.ref !== undefined) await checkNames(db, catalog, field, name, value, (message) => refuse(`${message} (${where})`));
    filters++;
  }
  if (filters === 0) throw refuse('needs at least one filter, e.g. site=fra1');
}

/** Things that a filter names must be there: a wrong name would choose nobody, silently. */
async function checkNames(db: Db, catalog: Catalog, field: Field, name: string, value: string, refuse: (message: string) => Problem): Promise<void> {
  const operator = name.slice(field.name.length);
  if (operator !== '' && operator !== '__ne' && operator !== '__in') return;
  const target = catalog.byNoun(field.ref!);
  for (const one of operator === '__in' ? value.split(',') : [value]) {
    const { rows } = await sql<{ id: string | null }>`select ${idOfKey(catalog, target, one)} as id`.execute(db);
    if (rows[0]!.id === null) throw refuse(`there is no ${target.resource.title.toLowerCase()} '${one.slice(0, 100)}'`);
  }
}
