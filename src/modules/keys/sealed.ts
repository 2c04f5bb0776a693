/** Where sealed values are kept in the database. A table that gets some adds itself here, and is rotated with the others. */

export type SealedForm =
  /** The column is the sealed value. */
  | 'text'
  /** JSON: sealed values by key. */
  | 'map'
  /** JSON text `{"sealed": ...}`, where the row holds secrets. */
  | 'wrapped';

export interface SealedColumn {
  readonly table: string;
  readonly column: string;
  readonly form: SealedForm;
  /** The primary key. */
  readonly id: readonly string[];
  /** Columns that the context is made from, beside the id. */
  readonly by: readonly string[];
  /** What the value is sealed with; `key` is that of a map. */
  readonly context: (row: Readonly<Record<string, unknown>>, key: string) => string;
  /** The rows of changes hold it, too. */
  readonly inChanges: boolean;
}

export const sealedColumns: readonly SealedColumn[] = [
  {
    table: 'ceph_key',
    column: 'secret',
    form: 'text',
    id: ['id'],
    by: ['ceph_cluster_id', 'entity'],
    context: (row) => `ceph_key:${String(row['ceph_cluster_id'])}:${String(row['entity'])}`,
    inChanges: true,
  },
  { table: 'layer', column: 'secrets', form: 'map', id: ['id'], by: [], context: (row, key) => `layer:${String(row['id'])}:${key}`, inChanges: true },
  { table: 'webhook', column: 'secret', form: 'text', id: ['id'], by: ['name'], context: (row) => `webhook:${String(row['name'])}`, inChanges: true },
  ...['totp', 'totp_new'].map((column): SealedColumn => ({
    table: 'person_secret',
    column,
    form: 'text',
    id: ['person_id'],
    by: [],
    context: (row) => `totp:${String(row['person_id'])}`,
    inChanges: false,
  })),
  {
    table: 'document_version',
    column: 'body',
    form: 'wrapped',
    id: ['node_id', 'number'],
    by: [],
    context: (row) => `document:${String(row['node_id'])}`,
    inChanges: false,
  },
  {
    table: 'idempotency_key',
    column: 'answer',
    form: 'wrapped',
    id: ['identity', 'key'],
    by: [],
    context: (row) => `idempotency:${String(row['identity'])}:${String(row['key'])}`,
    inChanges: false,
  },
];
