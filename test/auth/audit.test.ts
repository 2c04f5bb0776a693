import { expect, test } from 'vitest';
import { audit, verifyAudit } from '../../src/auth/audit.ts';
import { withOrigin } from '../../src/db/transaction.ts';
import { createThing, deleteThing } from '../../src/db/write.ts';
import { testCorral } from '../support/corral.ts';

const corral = await testCorral();
const { pool } = corral;

const entries = async (): Promise<{ number: number; kind: string; actor: string; detail: Record<string, unknown> }[]> =>
  (await pool.query('select number::float8 as number, kind, actor, detail from audit_entry order by number')).rows as never;

/** What somebody does who has the rights of the table's owner. */
async function forge(statement: string): Promise<() => Promise<void>> {
  await pool.query('alter table audit_entry disable trigger audit_keep');
  await pool.query('create table kept as select * from audit_entry');
  await pool.query(statement);
  return async () => {
    await pool.query('delete from audit_entry; insert into audit_entry select * from kept; drop table kept');
    await pool.query('alter table audit_entry enable trigger audit_keep');
  };
}

test('tokens, roles and bindings are told with who made them, without hashes, and dry runs are not', async () => {
  const store = withOrigin(corral.store, { actor: 'anna', requestId: 'r1' });
  const before = (await entries()).length;
  const model = (noun: string) => corral.catalog.byNoun(noun);
  await createThing(store, model('token'), { name: 'grafana', kind: 'program' });
  await createThing(store, model('binding'), { name: 'grafana', token: 'grafana', role: 'viewer' });
  await deleteThing(store, model('binding'), 'grafana');
  await createThing(withOrigin(corral.store, { actor: 'anna', plan: 'only' }), model('token'), { name: 'planned', kind: 'admin' }).catch(() => undefined);
  const made = (await entries()).slice(before);
  expect(made.map((one) => [one.kind, one.actor, one.detail['noun'], one.detail['op']])).toEqual([
    ['rights', 'anna', 'token', 'insert'],
    ['rights', 'anna', 'binding', 'insert'],
    ['rights', 'anna', 'binding', 'delete'],
  ]);
  expect(JSON.stringify(made)).not.toContain('hash');
});

test('50 entries at once have numbers without gaps, and a chain that fits', async () => {
  await Promise.all(Array.from({ length: 50 }, (_, i) => audit(pool, { kind: 'login', actor: `p${i}`, detail: { i } })));
  const all = await entries();
  expect(all.map((one) => one.number)).toEqual(all.map((_, i) => i + 1));
  expect(await verifyAudit(pool)).toMatchObject({ entries: all.length, broken: undefined, missing: undefined });
});

test('nothing in it can be changed or deleted', async () => {
  for (const statement of [`update audit_entry set actor = 'nobody'`, 'delete from audit_entry', 'truncate audit_entry'])
    await expect(pool.query(statement)).rejects.toThrow('nothing in the audit log is changed or deleted');
  const answer = await corral.request('/api/v1/audit-entries/1', { method: 'DELETE' });
  expect(answer.status).toBe(405);
});

test('who alters it all the same is found out', async () => {
  const { head } = await verifyAudit(pool);
  for (const [statement, found] of [
    [`update audit_entry set actor = 'nobody' where number = 7`, { broken: 7, missing: undefined }],
    [`update audit_entry set created_at = created_at - interval '1 day' where number = 7`, { broken: 7 }],
    [`delete from audit_entry where number = 9`, { missing: 9 }],
    [`update audit_entry set hash = audit_hash(null, audit_entry) where number = 5`, { broken: 5 }],
  ] as const) {
    const mend = await forge(statement);
    expect([statement, await verifyAudit(pool)]).toMatchObject([statement, found]);
    await mend();
  }
  /* The end can be cut off; the head that was kept elsewhere tells. */
  const mend = await forge(`delete from audit_entry where number > 10`);
  expect((await verifyAudit(pool)).head).not.toEqual(head);
  await mend();
  expect((await verifyAudit(pool)).head).toEqual(head);
});
