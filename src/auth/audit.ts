import type pg from 'pg';

/** What the audit log is told beside changes of rights, which it sees by itself. Never a secret. */
export interface AuditEvent {
  /** login, login_refused, logout, refused and the like. */
  readonly kind: string;
  /** The name that was given, or who did it. */
  readonly actor?: string | undefined;
  /** `person:<id>` or `token:<id>`. */
  readonly subject?: string | undefined;
  readonly address?: string | undefined;
  readonly requestId?: string | undefined;
  readonly detail?: Readonly<Record<string, unknown>> | undefined;
}

/** Adds an entry; in a transaction it is there when that commits. */
export async function audit(db: Pick<pg.Pool, 'query'>, { kind, actor, subject, address, requestId, detail }: AuditEvent): Promise<void> {
  await db.query({
    name: 'audit',
    text: 'select audit_append($1, $2, $3, $4, $5, $6::jsonb)',
    values: [kind, actor ?? null, subject ?? null, address ?? null, requestId ?? null, JSON.stringify(detail ?? {})],
  });
}

/** What a check of the log found. */
export interface AuditCheck {
  readonly entries: number;
  /** The newest entry: written down elsewhere, it shows later whether the end of the log was cut off. */
  readonly head: { readonly number: number; readonly hash: string } | undefined;
  /** The first entry that does not fit: it, or what was before it, was altered. */
  readonly broken: number | undefined;
  /** The number that is missing, where one is. */
  readonly missing: number | undefined;
}

/** Entries that are checked in one statement. */
const BATCH = 10_000;

/**
 * Computes the chain of hashes anew.
 * @param onProgress told of the entries checked so far
 */
export async function verifyAudit(db: Pick<pg.Pool, 'query'>, onProgress: (done: number) => void = () => undefined): Promise<AuditCheck> {
  let last: { number: number; hash: string } | undefined;
  for (let entries = 0; ;) {
    const { rows } = await db.query<{ number: number; hash: string; fits: boolean }>(
      `select e.number::float8 as number, encode(e.hash, 'hex') as hash,
        e.hash = audit_hash(coalesce(lag(e.hash) over (order by e.number), decode($2, 'hex')), e) as fits
      from audit_entry e where e.number > $1 order by e.number limit ${BATCH}`,
      [last?.number ?? 0, last?.hash ?? ''],
    );
    for (const row of rows) {
      const expected: number = (last?.number ?? 0) + 1;
      if (row.number !== expected) return { entries, head: last, broken: row.number, missing: expected };
      if (!row.fits) return { entries, head: last, broken: row.number, missing: undefined };
      last = { number: row.number, hash: row.hash };
      entries++;
    }
    onProgress(entries);
    if (rows.length < BATCH) return { entries, head: last, broken: undefined, missing: undefined };
  }
}
