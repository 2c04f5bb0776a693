import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import pg from 'pg';
import { afterAll, inject } from 'vitest';
import { createHttpServer, type AppOptions } from '../../src/app.ts';
import { firstStart, openCorral, type Corral } from '../../src/corral.ts';
import { loginSettings } from '../../src/auth/people/settings.ts';
import type { LoginSettings } from '../../src/auth/people/types.ts';
import { createThing } from '../../src/db/write.ts';
import type { Row } from '../../src/db/read.ts';
import { loadConfig } from '../../src/kernel/config.ts';
import { Proxies } from '../../src/kernel/proxy.ts';
import { Limits } from '../../src/limits/limits.ts';
import { pages } from '../../src/pages/index.tsx';

export const ADMIN = 'corral_admin_for_tests_only';

export interface TestCorral extends Corral {
  readonly databaseUrl: string;
  /** The real server on a free port. */
  readonly base: string;
  /** Sends a request with the admin token; `path` begins with `/`. */
  request(path: string, init?: RequestInit & { token?: string | null }): Promise<Response>;
  /** Makes a thing through its verb. */
  make(noun: string, input: Record<string, unknown>): Promise<Row>;
}

/** A Corral on a database of its own, cloned from the template, with the server listening; closed after the file. */
export async function testCorral(
  env: Record<string, string> = {},
  { keepAlive, login, timeouts }: { keepAlive?: number; login?: Partial<LoginSettings>; timeouts?: AppOptions['timeouts'] } = {},
): Promise<TestCorral> {
  const server = inject('server');
  const name = `t_${randomBytes(6).toString('hex')}`;
  const admin = new pg.Client({ connectionString: server });
  await admin.connect();
  await admin.query(`create database ${name} template corral`);
  await admin.end();
  const databaseUrl = server.replace('/postgres?', `/${name}?`);
  const data = mkdtempSync(join(tmpdir(), 'corral-data-'));
  const { config } = loadConfig({ CORRAL_DATA: data, DATABASE_URL: databaseUrl, CORRAL_LOG_LEVEL: 'silent', CORRAL_DEMO: '0', ...env });
  const corral = await openCorral(config);
  await firstStart(corral, ADMIN, undefined);
  const services = {
    store: corral.store,
    catalog: corral.catalog,
    db: corral.db,
    pool: corral.pool,
    hub: corral.hub,
    pages,
    bodyLimit: config.body_limit,
    bulkLimit: config.bulk_limit,
    version: 'test',
    publicUrl: config.public_url,
    proxies: new Proxies(config.trusted_proxies),
    /* Only where a test is about them: others ask as often as they like. */
    ...(Object.keys(env).some((name) => name.startsWith('CORRAL_RATE_'))
      ? { limits: new Limits({ identity: config.rate_limit, address: config.rate_limit_address, store: config.rate_store }, corral.pool) }
      : {}),
    /* Refusals are many in tests, and need not take as long as for people. */
    login: { ...loginSettings(config, corral.store.secrets), refuseAfter: 10, ...login },
  };
  const http = createHttpServer({ services, documents: corral.documents, log: pino({ level: 'silent' }), keepAlive, ...(timeouts ? { timeouts } : {}) });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address() as { port: number };
  const base = `http://127.0.0.1:${port}`;
  afterAll(async () => {
    corral.hub.drain();
    http.closeAllConnections();
    await new Promise((resolve) => http.close(resolve));
    await corral.close();
    rmSync(data, { recursive: true, force: true });
  });
  return {
    ...corral,
    databaseUrl,
    base,
    request: (path, { token = ADMIN, ...init } = {}) =>
      fetch(`${base}${path}`, {
        redirect: 'manual',
        ...init,
        headers: { ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...(init.headers as Record<string, string> | undefined) },
      }),
    make: (noun, input) => createThing(corral.store, corral.catalog.byNoun(noun), input),
  };
}
