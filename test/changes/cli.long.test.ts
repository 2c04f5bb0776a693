import { beforeAll, expect, test } from 'vitest';
import { against, corral as run, type Ran } from '../cli/support.ts';
import { testCorral } from '../support/corral.ts';
import { call, GIB, hypervisors } from '../modules/fleet.ts';

const corral = await testCorral();
let vm = '';
let made = 0;

const cli = (...args: string[]): Promise<Ran> => run(args, { env: against(corral) });

beforeAll(async () => {
  await hypervisors(corral, 1);
  const answer = await corral.request('/api/v1/vms', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-change-message': 'For the shop' },
    body: JSON.stringify({ name: 'web', method: 'KVM', cores: 2, ram: GIB }),
  });
  vm = String(((await answer.json()) as { id: number }).id);
  made = Number(answer.headers.get('corral-change'));
  expect((await cli('set', 'vm', vm, 'cores=4', '-m', 'More')).code).toBe(0);
});

test('changes are listed, and one is shown', async () => {
  const listed = await cli('changes', 'noun=vm', `key=${vm}`);
  expect(listed.out).toMatch(
    /^CHANGE +AT +BY +WHAT +MESSAGE\n +\d+ +\S+ \S+Z +admin +vm web changed +More\n +\d+ .* vm web made and \d+ more +For the shop\n$/,
  );
  expect(JSON.parse((await cli('changes', '-o', 'json', '--limit', '1')).out)).toEqual([expect.objectContaining({ number: made + 1, message: 'More' })]);
  expect((await cli('changes', '--limit', '1')).err).toBe('There are more; --all shows them\n');
  expect((await cli('changes', 'actor=nobody')).err).toBe('There is no such change\n');
  const shown = await cli('change', String(made + 1));
  expect(shown.out).toContain(`Change ${made + 1}\nby       admin\n`);
  expect(shown.out).toContain('vm web changed\n  cores      2 -> 4\n  cores_max  2 -> 4\n');
  expect(shown.out).toMatch(/Documents: hv1\.example\.com \d+-[0-9a-f]{16}\n$/);
  expect(JSON.parse((await cli('change', String(made), '-o', 'json')).out)).toMatchObject({ number: made, rows: expect.any(Array) });
  expect(await cli('change', '999999')).toMatchObject({ code: 3, err: expect.stringContaining('not-found') });
  expect(await cli('changes', 'colour=red')).toMatchObject({ code: 1, err: expect.stringContaining('unknown-parameter') });
  expect((await cli('changes', 'red')).code).toBe(2);
});

test('the history of a thing and of a field', async () => {
  const { out } = await cli('history', 'vm', vm);
  expect(out).toContain(`Change ${made + 1}  `);
  expect(out).toContain('  cores      2 -> 4');
  const field = await cli('history', 'vm', vm, 'cores');
  expect(field.out).toMatch(/^CHANGE +AT +BY +BEFORE +AFTER +MESSAGE\n +\d+ .* admin +2 +4 +More\n +\d+ .* admin +- +2 +For the shop\n$/);
  expect(JSON.parse((await cli('history', 'vm', vm, 'cores', '-o', 'json')).out)).toHaveLength(2);
  expect((await cli('history', 'vm')).code).toBe(2);
  expect((await cli('history', 'vm', '424242')).code).toBe(3);
});

test('documents as they were, and their differences', async () => {
  const now = await cli('document', 'hv1.example.com', '-o', 'json');
  const then = await cli('document', 'hv1.example.com', '-o', 'json', '--at', String(made), '--headers');
  expect(then.err).toMatch(/^corral-document: \d+-/);
  expect(then.out).not.toBe(now.out);
  expect((await cli('document', 'hv1.example.com', '-o', 'json', '--at', String(made + 1))).out).toBe(now.out);
  expect((await cli('enc', 'hv1.example.com', '--at', '2000-01-01T00:00:00Z')).code).toBe(3);
  const { out } = await cli('diff', 'hv1.example.com');
  expect(out).toMatch(/^--- \d+-[0-9a-f]{16}\n\+\+\+ /);
  expect(out).toMatch(/^-.*2/m);
  expect((await cli('diff', 'hv1.example.com', '--from', String(made), '--to', String(made))).err).toBe('No difference\n');
  expect(JSON.parse((await cli('diff', 'hv1.example.com', '--from', String(made), '-o', 'json')).out)).toMatchObject({
    node: 'hv1.example.com',
    patch: expect.any(Array),
  });
});

test('a change is planned to be undone, and undone', async () => {
  const planned = await cli('revert', String(made + 1), '--plan');
  expect(planned.out).toContain('cores: 4 -> 2');
  const digest = /Plan (sha256:[0-9a-f]{64})/.exec(planned.out)![1]!;
  expect((await call(corral, 'GET', `/api/v1/vms/${vm}`)).body['cores']).toBe(4);
  const undone = await cli('revert', String(made + 1), '--if-plan', digest, '-m', 'Not after all');
  expect(undone).toMatchObject({ code: 0, err: '' });
  expect(undone.out).toContain(`undid    change ${made + 1}`);
  expect(undone.out).toContain('message  Not after all');
  const again = await cli('revert', String(made + 1));
  expect(again.code).toBe(4);
  expect(again.err).toMatch(/^corral: stands-in-the-way: .*\n {2}change \d+ {2}\S+ \S+Z {2}admin {2}vm web: cores, cores_max\n$/);
});

test('old history is dropped on the database', async () => {
  const env = { DATABASE_URL: corral.databaseUrl, CORRAL_DATA: '/nonexistent', CORRAL_ENCRYPTION_KEY: Buffer.alloc(32).toString('base64') };
  expect((await run(['history', 'prune', '--plan'], { env })).out).toBe('0 changes and 0 documents of more than 365 days ago would be dropped\n');
  await corral.pool.query(`update change set at = at - interval '400 days'`);
  expect((await run(['history', 'prune', '--days', '390'], { env })).out).toMatch(
    /^[1-9]\d* changes and [1-9]\d* documents of more than 390 days ago dropped\n$/,
  );
  expect((await run(['history', 'prune'], { env: { ...env, CORRAL_HISTORY_DAYS: '0' } })).err).toMatch(/kept for ever/);
});
