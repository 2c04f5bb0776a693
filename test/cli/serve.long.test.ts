import { createServer, connect, type Socket } from 'node:net';
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { expect, inject, it } from 'vitest';
import { corral, ended, says, scratch, start } from './support.ts';

const TOKEN = 'corral_admin_of_this_test_only';

async function freshDatabase(): Promise<string> {
  const server = inject('server');
  const name = `t_${randomBytes(6).toString('hex')}`;
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  await client.query(`create database ${name} template corral`);
  await client.end();
  return server.replace('/postgres?', `/${name}?`);
}

const urlIn = (text: string): string => /serves at (http:\S+)/.exec(text)![1]!;

it('prints address, token and commands that work; the same data comes back, with no token', async () => {
  const env = { DATABASE_URL: await freshDatabase(), CORRAL_DATA: scratch(), PORT: '0', CORRAL_DEMO: '0' };
  const first = start(['serve'], { env });
  const text = await says(first, 'stdout', /In a browser/);
  const token = /^ {2}(corral_admin_\S+)$/m.exec(text)![1]!;
  const url = urlIn(text);
  expect((await fetch(`${url}/api/v1/nodes`, { headers: { authorization: `Bearer ${token}` } })).status).toBe(200);
  expect((await corral(['create', 'site', 'name=fra1', '-q'], { env: { CORRAL_URL: url, CORRAL_TOKEN: token } })).out).toBe('fra1\n');
  const made = await corral(
    ['create', 'node', 'fqdn=hv1.example.com', 'site=fra1', 'roles.hypervisor.cores=16', 'roles.hypervisor.ram=64GiB', 'roles.hypervisor.methods=KVM'],
    { env: { CORRAL_URL: url, CORRAL_TOKEN: token } },
  );
  expect(made.err).toBe('');
  first.kill('SIGTERM');
  expect(await ended(first)).toBe(0);

  const second = start(['serve'], { env });
  const again = await says(second, 'stdout', /In a browser/);
  expect(again).not.toContain('corral_admin_');
  const commands = [...again.matchAll(/^ {2}curl -H "Authorization: Bearer \$CORRAL_TOKEN" (\S+)$/gm)].map((match) => match[1]!);
  expect(commands.map((one) => new URL(one).pathname)).toEqual(['/enc/hv1.example.com', '/hiera/hv1.example.com', '/pillar/hv1.example.com']);
  for (const command of commands) expect((await fetch(command, { headers: { authorization: `Bearer ${token}` } })).status).toBe(200);
  second.kill('SIGINT');
  expect(await ended(second)).toBe(0);
});

it('does not print a token that was given to it', async () => {
  const env = { DATABASE_URL: await freshDatabase(), CORRAL_DATA: scratch(), PORT: '0', CORRAL_DEMO: '0', CORRAL_ADMIN_TOKEN: TOKEN };
  const child = start(['serve'], { env });
  const text = await says(child, 'stdout', /In a browser/);
  expect(text).not.toContain(TOKEN);
  expect(text).toContain('CORRAL_ADMIN_TOKEN');
  child.kill('SIGTERM');
  expect(await ended(child)).toBe(0);
});

it('finishes a request in flight before it stops, and takes no new ones', async () => {
  const env = { DATABASE_URL: await freshDatabase(), CORRAL_DATA: scratch(), PORT: '0', CORRAL_DEMO: '0', CORRAL_ADMIN_TOKEN: TOKEN };
  const child = start(['serve'], { env });
  const url = new URL(urlIn(await says(child, 'stdout', /In a browser/)));
  const body = JSON.stringify({ name: 'slow' });
  const socket: Socket = connect(Number(url.port), url.hostname);
  await new Promise((resolve) => socket.once('connect', resolve));
  /* Keep-alive, and an idle connection beside it: neither may hold up the end. */
  const idle = connect(Number(url.port), url.hostname);
  idle.on('error', () => undefined);
  socket.write(
    `POST /api/v1/sites HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 5)}`,
  );
  let answer = '';
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
  await new Promise((resolve) => setTimeout(resolve, 300));
  const said = says(child, 'stderr', /finishing 1 request/);
  child.kill('SIGTERM');
  await said;
  await expect(fetch(url)).rejects.toThrow('fetch failed');
  socket.write(body.slice(5));
  const begun = Date.now();
  expect(await ended(child)).toBe(0);
  expect(Date.now() - begun).toBeLessThan(8000);
  expect(answer).toMatch(/^HTTP\/1\.1 201 /);
  const client = new pg.Client({ connectionString: env.DATABASE_URL });
  await client.connect();
  expect((await client.query('select name from site')).rows).toEqual([{ name: 'slow' }]);
  await client.end();
});

it('stops at once at the second signal', async () => {
  const env = { DATABASE_URL: await freshDatabase(), CORRAL_DATA: scratch(), PORT: '0', CORRAL_DEMO: '0', CORRAL_ADMIN_TOKEN: TOKEN };
  const child = start(['serve'], { env });
  const url = new URL(urlIn(await says(child, 'stdout', /In a browser/)));
  const socket = connect(Number(url.port), url.hostname);
  socket.on('error', () => undefined);
  socket.write(`POST /api/v1/sites HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Length: 9\r\n\r\n{`);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const said = says(child, 'stderr', /finishing 1 request/);
  child.kill('SIGTERM');
  await said;
  await new Promise((resolve) => setTimeout(resolve, 700));
  child.kill('SIGTERM');
  expect(await ended(child)).toBe(130);
});

it('says what keeps it from starting', async () => {
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
  const { port } = blocker.address() as { port: number };
  const env = { DATABASE_URL: await freshDatabase(), CORRAL_DATA: scratch(), CORRAL_DEMO: '0' };
  const busy = await corral(['serve'], { env: { ...env, PORT: String(port) } });
  expect(busy).toMatchObject({ code: 1 });
  expect(busy.err).toContain(`port ${port} on 127.0.0.1 is in use`);
  blocker.close();

  const none = await corral(['serve'], { env: { ...env, DATABASE_URL: 'postgres://u:secret@127.0.0.1:1/x' } });
  expect(none.code).toBe(5);
  expect(none.err).toMatch(/DATABASE_URL names cannot be used: .*ECONNREFUSED/);
  expect(none.err).not.toContain('secret');

  const wrong = await corral(['serve'], { env: { ...env, PORT: '70000' } });
  expect(wrong.code).toBe(2);
  expect(wrong.err).toContain('PORT: ');

  const client = new pg.Client({ connectionString: env.DATABASE_URL });
  await client.connect();
  await client.query(`insert into migration (name) values ('9999-from-the-future')`);
  await client.end();
  const newer = await corral(['serve'], { env: { ...env, PORT: '0' } });
  expect(newer.code).toBe(1);
  expect(newer.err).toMatch(/9999-from-the-future.*newer version/);
});
