import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { corral, ended, says, scratch, start } from './support.ts';

const TOKEN = 'corral_admin_of_this_test_only';
const data = scratch();
const env = { CORRAL_DATA: data, PORT: '0', CORRAL_DEMO: '0', CORRAL_ADMIN_TOKEN: TOKEN };

afterAll(() => {
  /* Only if a test ended in the middle: what it left behind. */
  try {
    process.kill(Number(readFileSync(join(data, 'postgres/postmaster.pid'), 'utf8').split('\n', 1)[0]), 'SIGQUIT');
  } catch {
    /* As it should be: it has stopped. */
  }
});

it('serves from a data folder of its own, shares it with the other commands, and survives kill -9', async () => {
  const first = start(['serve'], { env });
  const url = /serves at (http:\S+)/.exec(await says(first, 'stdout', /In a browser/))![1]!;
  const client = { CORRAL_URL: url, CORRAL_TOKEN: TOKEN };

  const second = await corral(['serve'], { env });
  expect(second.code).toBe(1);
  expect(second.err).toMatch(/another Corral process is using/);

  expect((await corral(['create', 'site', 'name=kept', '-q'], { env: client })).out).toBe('kept\n');
  /* Beside the running server, on its database. */
  expect((await corral(['migrate'], { env })).out).toMatch(/up to date/);
  expect((await corral(['console', '-e', 'sites.count()'], { env })).out).toBe('1\n');
  const rescue = await corral(['token', 'create', 'rescue', '--kind', 'admin', '--local'], { env });
  expect(rescue.out).toMatch(/^corral_admin_\S+\n$/);
  expect((await corral(['get', 'sites', '-q'], { env: { ...client, CORRAL_TOKEN: rescue.out.trim() } })).out).toBe('kept\n');

  first.kill('SIGKILL');
  await ended(first);
  const third = start(['serve'], { env });
  const again = /serves at (http:\S+)/.exec(await says(third, 'stdout', /In a browser/))![1]!;
  expect((await corral(['get', 'sites', '-q'], { env: { ...client, CORRAL_URL: again } })).out).toBe('kept\n');
  third.kill('SIGTERM');
  expect(await ended(third)).toBe(0);

  /* With no server, the commands start the database themselves, and stop it again. */
  expect((await corral(['token', 'list', '--local', '-o', 'json'], { env })).out).toContain('"rescue"');
  expect((await corral(['token', 'delete', 'rescue', '--local'], { env })).code).toBe(0);
  expect(existsSync(join(data, 'postgres/postmaster.pid'))).toBe(false);
}, 120_000);
