import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isRecord } from '../kernel/codec.ts';
import { installationKeys, keyIdOf, secretBox } from '../kernel/secret.ts';
import { sealedColumns, type SealedColumn } from '../modules/keys/sealed.ts';
import { count, fail, ok, some, warn, type Check, type Finding, type Patient } from './types.ts';

type Db = NonNullable<Patient['db']>;

/** Values of each column that are opened in truth; of the others the key is looked at. */
const OPENED = 5000;

/** SQL of the ids of the keys of all values. */
function keysOf({ table, column, form }: SealedColumn): string {
  if (form === 'text') return `select split_part(t.${column}, '.', 2) as key from ${table} t where t.${column} like 'v1.%'`;
  if (form === 'map')
    return `select split_part(e.value, '.', 2) as key from ${table} t, jsonb_each_text(case jsonb_typeof(t.${column}::jsonb) when 'object' then t.${column}::jsonb else '{}' end) e where e.value like 'v1.%'`;
  return `select substr(t.${column}::text, 15, 8) as key from ${table} t where substr(t.${column}::text, 1, 14) = '{"sealed":"v1.'`;
}

/** The sealed values of a row of a column. */
function valuesOf({ form, column, context }: SealedColumn, row: Readonly<Record<string, unknown>>): { sealed: string; context: string }[] {
  const value = row[column];
  if (form === 'text') return typeof value === 'string' ? [{ sealed: value, context: context(row, '') }] : [];
  const data: unknown = typeof value === 'string' ? JSON.parse(value) : value;
  if (!isRecord(data)) return [];
  if (form === 'wrapped') return typeof data['sealed'] === 'string' ? [{ sealed: data['sealed'], context: context(row, '') }] : [];
  return Object.entries(data).flatMap(([key, sealed]) =>
    typeof sealed === 'string' && sealed.startsWith('v1.') ? [{ sealed, context: context(row, key) }] : [],
  );
}

async function open(db: Db, column: SealedColumn, box: ReturnType<typeof secretBox>): Promise<{ opened: number; closed: string[] }> {
  const names = [...new Set([...column.id, ...column.by, column.column])].map((name) => `t.${name}`).join(', ');
  const { rows } = await db.query<Record<string, unknown>>(
    `select ${names} from ${column.table} t where t.${column.column} is not null order by ${column.id.map((name) => `t.${name} desc`).join(', ')} limit ${OPENED}`,
  );
  let opened = 0;
  const closed: string[] = [];
  for (const row of rows)
    for (const { sealed, context } of valuesOf(column, row)) {
      try {
        box.open(sealed, context);
        opened++;
      } catch {
        closed.push(`${column.table} ${column.id.map((name) => String(row[name])).join('/')}`);
      }
    }
  return { opened, closed };
}

export const secretsCheck: Check = {
  name: 'secrets',
  needsDatabase: true,
  run: async ({ config, db }) => {
    if (config.encryption_key === undefined && !existsSync(join(config.data, 'encryption.key'))) return [];
    const keys = installationKeys(config);
    const current = keyIdOf(keys.current);
    const known = new Set([current, ...keys.old.map(keyIdOf)]);
    const box = secretBox(keys);
    const byKey = new Map<string, number>();
    const closed: string[] = [];
    let opened = 0;
    for (const column of sealedColumns) {
      const { rows } = await db.query<{ key: string; n: number }>(`select key, count(*)::int as n from (${keysOf(column)}) k group by key`);
      for (const { key, n } of rows) byKey.set(key, (byKey.get(key) ?? 0) + n);
      const seen = await open(db, column, box);
      opened += seen.opened;
      closed.push(...seen.closed);
    }
    const out: Finding[] = [];
    for (const [key, n] of byKey) {
      if (!known.has(key))
        out.push(
          fail(
            `${count(n, 'secret')} under key ${key}, which is not here`,
            'Give it in CORRAL_ENCRYPTION_KEY_OLD, or in encryption.key.old; it is in older backups of the data folder',
          ),
        );
      else if (key !== current) out.push(warn(`${count(n, 'secret')} under the older key ${key}`, 'corral keys rotate'));
      else out.push(ok(`${count(n, 'secret')} under the current key ${key}`));
    }
    /* Those whose key is not here are told of already. */
    const damaged = closed.length - [...byKey].filter(([key]) => !known.has(key)).reduce((sum, [, n]) => sum + n, 0);
    if (damaged > 0)
      out.push(
        fail(
          `${count(damaged, 'secret')} cannot be opened though the key is here: ${some([...new Set(closed)])}`,
          'They were altered or moved by hand: set them anew, or bring the rows back from the backup',
        ),
      );
    else if (opened > 0) out.push(ok(`${count(opened, 'secret')} opened`));
    return out.length > 0 ? out : [ok('no secret is kept yet')];
  },
};
