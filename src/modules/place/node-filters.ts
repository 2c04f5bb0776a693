import { sql, type RawBuilder } from 'kysely';
import type { Filter } from '../../kernel/resource.ts';
import { fault } from '../../kernel/problem.ts';

const tables = { hypervisor: 'hypervisor', ceph_osd: 'ceph_osd_node', ceph_mon: 'ceph_mon_node' } as const;
type Role = keyof typeof tables;

const has = (alias: string, role: Role): RawBuilder<unknown> => sql`exists (select from ${sql.id(tables[role])} r where r.node_id = ${sql.id(alias)}.id)`;

function roleOf(name: string): Role {
  if (!Object.hasOwn(tables, name)) throw fault('bad-request', '/role', `must be one of ${Object.keys(tables).join(', ')}`);
  return name as Role;
}

const like = (value: string): string => value.replace(/[\\%_]/g, '\\$&');
const symbols = { __gt: sql`>`, __gte: sql`>=`, __lt: sql`<`, __lte: sql`<=` } as const;

/** A fact of the host's own package; where that says nothing, of Facter. */
function fact(alias: string, path: readonly string[]): RawBuilder<unknown> {
  return sql`(select coalesce(nullif(f.facts #> ${[...path]}::text[], 'null'), f.tool_facts #> ${[...path]}::text[]) from node_facts f where f.node_id = ${sql.id(alias)}.id)`;
}

function factSql(alias: string, operator: string, value: string, path: readonly string[]): RawBuilder<unknown> {
  const found = fact(alias, path);
  const text = sql`(${found} #>> '{}')`;
  switch (operator) {
    case '__null':
      if (value !== 'true' && value !== 'false') throw fault('bad-request', `/facts.${path.join('.')}__null`, 'must be true or false');
      return value === 'true' ? sql`${text} is null` : sql`${text} is not null`;
    case '__ne':
      return sql`${text} is distinct from ${value}`;
    case '__in':
      return sql`${text} = any(${value.split(',')}::text[])`;
    case '__contains':
      return sql`${text} ilike ${`%${like(value)}%`}`;
    case '__startswith':
      return sql`${text} like ${`${like(value)}%`}`;
    case '':
      return sql`${text} = ${value}`;
    default: {
      const number = value.trim() === '' ? Number.NaN : Number(value);
      if (!Number.isFinite(number)) throw fault('bad-request', `/facts.${path.join('.')}${operator}`, 'must be compared with a number');
      return sql`case when jsonb_typeof(${found}) = 'number' then ${text}::numeric ${symbols[operator as keyof typeof symbols]} ${value.trim()}::numeric else false end`;
    }
  }
}

/** What lists of nodes are filtered by beside their fields: other tables hold it. */
export const nodeFilters: Readonly<Record<string, Filter>> = {
  role: {
    description: 'Its roles',
    operators: ['', '__ne', '__in'],
    choices: Object.keys(tables),
    sql: (alias, operator, value) => {
      if (operator === '__in')
        return sql`(${sql.join(
          value.split(',').map((one) => has(alias, roleOf(one))),
          sql` or `,
        )})`;
      return operator === '__ne' ? sql`not ${has(alias, roleOf(value))}` : has(alias, roleOf(value));
    },
  },
  facts: {
    description: 'A fact that the host reported, by its path with dots, e.g. facts.os.family',
    operators: ['', '__ne', '__in', '__gt', '__gte', '__lt', '__lte', '__contains', '__startswith', '__null'],
    path: true,
    sql: factSql,
  },
};
