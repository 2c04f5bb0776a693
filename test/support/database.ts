import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { startEmbedded } from '../../src/db/embedded.ts';
import { migrate } from '../../src/db/migrate.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** A database of the server that all test files share; each clones the template `corral`. */
    server: string;
  }
}

/** Starts one PostgreSQL for the run, with the migrated template that every test file clones. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'corral-test-'));
  const embedded = await startEmbedded(folder, ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off', 'max_connections=400']);
  await migrate(embedded.url);
  const server = embedded.url.replace('/corral?', '/postgres?');
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  await client.query(`update pg_database set datistemplate = true where datname = 'corral'`);
  await client.end();
  project.provide('server', server);
  return async () => {
    await embedded.stop();
    await rm(folder, { recursive: true, force: true });
  };
}
