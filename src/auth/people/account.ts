import type { Queryable } from './types.ts';

/** What people see of their own account. */
export interface AccountRow {
  readonly name: string;
  readonly full_name: string | null;
  readonly email: string | null;
  readonly source: string;
  readonly admin: boolean;
  readonly password_at: Date | null;
  readonly second_factor: boolean;
  /** Recovery codes that are left. */
  readonly codes: number;
  /** Of the directory, at the last login. */
  readonly groups: readonly string[];
}

export async function accountOf(db: Queryable, person: number): Promise<AccountRow> {
  const { rows } = await db.query<AccountRow>(
    `select p.name, p.full_name, p.email, p.source, p.admin, s.password_at, s.totp is not null as second_factor, coalesce(cardinality(s.recovery), 0) as codes,
      array(select g.name from person_group g where g.person_id = p.id order by 1) as groups
      from person p left join person_secret s on s.person_id = p.id where p.id = $1`,
    [person],
  );
  return rows[0]!;
}
