import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { expect, inject, test } from 'vitest';
import { entities } from '../../src/corral.ts';
import { createOrm } from '../../src/db/orm.ts';
import { migrate, migrationFiles } from '../../src/db/migrate.ts';
import { resources } from '../../src/modules/index.ts';
import { listRows } from '../../src/modules/lists/lists.ts';

async function database(template: string | undefined): Promise<string> {
  const server = inject('server');
  const name = `t_${randomBytes(6).toString('hex')}`;
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  await client.query(`create database ${name}${template === undefined ? '' : ` template ${template}`}`);
  await client.end();
  return server.replace('/postgres?', `/${name}?`);
}

/* What keeps changes, and gives ids, is made by functions of migration 0004 for one table after another; tests of their own follow below. What drops kept lookups is tested in test/documents/lookup. */
const KEEPING = "proname ~ '(_change|_changes|_id)$' and proname <> 'check_node_has_role' or proname ~ '^(capture|quota|audit|token|invalidate)_'";
const BY_HAND = "('migration', 'invalidation')";

/** All that PostgreSQL itself says of the tables: columns, constraints, indices, triggers and their functions. */
async function describeSchema(url: string): Promise<Record<string, string[]>> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const ask = async (text: string): Promise<string[]> => (await client.query<{ line: string }>(text)).rows.map((row) => row.line);
  const described = {
    columns:
      await ask(`select format('%s.%s %s%s default %s generated %s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), case when a.attnotnull then ' not null' else '' end,
        case when pg_get_expr(d.adbin, d.adrelid) like 'next_id(%' then '-' else coalesce(pg_get_expr(d.adbin, d.adrelid), '-') end, a.attgenerated,
        case when pg_get_expr(d.adbin, d.adrelid) like 'next_id(%' then 'd' else a.attidentity::text end) as line
      from pg_attribute a join pg_class c on c.oid = a.attrelid left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
      where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relname not in ${BY_HAND} and a.attnum > 0 and not a.attisdropped order by 1`),
    constraints: await ask(`select format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) as line from pg_constraint
      where connamespace = 'public'::regnamespace and conrelid::regclass::text not in ${BY_HAND} and contype <> 'n' and conname !~ '^(capture|quota)_' order by 1`),
    indices: await ask(`select indexdef as line from pg_indexes where schemaname = 'public' and tablename not in ${BY_HAND} order by 1`),
    triggers: await ask(
      `select pg_get_triggerdef(oid) as line from pg_trigger where not tgisinternal and tgname !~ '^(capture|quota|audit|invalidate)(_|$)' order by 1`,
    ),
    functions: await ask(`select pg_get_functiondef(oid) as line from pg_proc where pronamespace = 'public'::regnamespace and not (${KEEPING}) order by 1`),
  };
  await client.end();
  return described;
}

test('the schema that the migrations make is the one that the entities describe', async () => {
  const migrated = await describeSchema(await database('corral'));
  const url = await database(undefined);
  const orm = await createOrm(entities, url, 2);
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const helper = migrated['functions']!.find((text) => text.includes('check_node_has_role'))!;
  await client.query(helper);
  await client.query(await orm.schema.getCreateSchemaSQL());
  await client.end();
  await orm.close();
  expect(await describeSchema(url)).toEqual(migrated);
  expect(migrated['constraints']!.length).toBeGreaterThan(100);
});

/** Nouns whose rows are no desired state: what hosts report, and who may ask. */
const UNKEPT = new Set(['report', 'observation', 'node_facts', 'token', 'enrolment_token', 'enrolment', 'session', 'webhook_delivery', 'audit_entry']);

test('every noun of desired state keeps its changes, and takes ids that a plan can foresee', async () => {
  const client = new pg.Client({ connectionString: await database('corral') });
  await client.connect();
  const { rows } = await client.query<{ line: string }>(`select format('%s %s', c.relname, string_agg(t.tgname, ' ' order by t.tgname)) as line
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'id' join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    join pg_trigger t on t.tgrelid = c.oid and t.tgname ~ '^capture_' where pg_get_expr(d.adbin, d.adrelid) = format('next_id(''%s_id_seq''::regclass)', c.relname)
    group by c.relname order by 1`);
  await client.end();
  const nouns = resources.filter(({ noun }) => !(noun in listRows) && !UNKEPT.has(noun)).map(({ noun }) => noun);
  expect(rows.map((row) => row.line)).toEqual(nouns.sort().map((noun) => `${noun} capture_delete capture_insert capture_update`));
});

test('the reference lists in the database are those of the program', async () => {
  const client = new pg.Client({ connectionString: await database('corral') });
  await client.connect();
  for (const [table, rows] of Object.entries(listRows)) {
    const found = await client.query<{ name: string; description: string }>(`select name, description from ${table}`);
    expect(Object.fromEntries(found.rows.map((row) => [row.name, row.description]))).toEqual(rows);
  }
  await client.end();
});

test('every foreign key has an index that begins with it', async () => {
  const client = new pg.Client({ connectionString: await database('corral') });
  await client.connect();
  const { rows } = await client.query<{ line: string }>(`select format('%s %s', c.conrelid::regclass, c.conname) as line from pg_constraint c
    where c.contype = 'f' and c.connamespace = 'public'::regnamespace and not exists (
      select from pg_index i where i.indrelid = c.conrelid and i.indkey[0] = c.conkey[1] and i.indpred is null)`);
  await client.end();
  expect(rows.map((row) => row.line)).toEqual([]);
});

test('migrations may be started by many processes at once', async () => {
  const url = await database(undefined);
  const ran = await Promise.all(Array.from({ length: 4 }, () => migrate(url)));
  expect(ran.flat()).toEqual(migrationFiles().map((file) => file.name));
});
