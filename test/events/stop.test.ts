import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { expect, inject, test } from 'vitest';
import { ended, says, scratch, start } from '../cli/support.ts';
import { listen } from './listen.ts';

const TOKEN = 'corral_admin_of_this_test_only';

test('a server that is asked to stop ends event streams and waits at once, and ends well', async () => {
  const server = inject('server');
  const name = `t_${randomBytes(6).toString('hex')}`;
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  await client.query(`create database ${name} template corral`);
  await client.end();
  const env = { DATABASE_URL: server.replace('/postgres?', `/${name}?`), CORRAL_DATA: scratch(), PORT: '0', CORRAL_ADMIN_TOKEN: TOKEN };
  const child = start(['serve'], { env });
  const base = /serves at (http:\S+)/.exec(await says(child, 'stdout', /In a browser/))![1]!;
  const headers = { authorization: `Bearer ${TOKEN}` };
  const { nodes } = (await (await fetch(`${base}/api/v1/nodes?state=running&limit=1`, { headers })).json()) as { nodes: { fqdn: string }[] };
  const streams = await Promise.all(Array.from({ length: 10 }, () => listen({ base }, nodes[0]!.fqdn, { token: TOKEN })));
  await Promise.all(streams.map((stream) => stream.until(1)));
  const waiting = fetch(`${base}/api/v1/nodes/${nodes[0]!.fqdn}?wait=converged&timeout=60`, { headers });
  await new Promise((resolve) => setTimeout(resolve, 300));
  const begun = performance.now();
  child.kill('SIGTERM');
  await Promise.all(streams.map((stream) => stream.ended));
  expect((await waiting).status).toBe(503);
  expect(await ended(child)).toBe(0);
  expect(performance.now() - begun).toBeLessThan(5000);
  for (const stream of streams) expect(stream.text()).toMatch(/retry: \d+\n\n$/);
});
