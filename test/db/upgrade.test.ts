import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { expect, inject, test } from 'vitest';
import { firstStart, openCorral } from '../../src/corral.ts';
import { createThing } from '../../src/db/write.ts';
import { migrationFiles } from '../../src/db/migrate.ts';
import { loadConfig } from '../../src/kernel/config.ts';
import { readPuppet } from '../../src/reports/puppet.ts';
import { recordRun } from '../../src/reports/run.store.ts';
import { documentResource, puppetReport } from '../reports/fleet.ts';

test('a database of the first version, with a fleet in it, is brought up to date and works', async () => {
  const server = inject('server');
  const name = `t_${randomBytes(6).toString('hex')}`;
  const admin = new pg.Client({ connectionString: server });
  await admin.connect();
  await admin.query(`create database ${name}`);
  await admin.end();
  const url = server.replace('/postgres?', `/${name}?`);

  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const [first] = migrationFiles();
  await client.query(first!.sql);
  await client.query('create table migration (name text primary key, ran_at timestamptz not null default now())');
  await client.query(`insert into migration (name) values ('${first!.name}'), ('documents-1')`);
  await client.query("insert into token (name, kind, hash) values ('old', 'reader', sha256('old'))");
  await client.query(`begin; insert into site (name) values ('fra1');
    insert into node (fqdn, site_id) select 'hv' || i || '.example.com', 1 from generate_series(1, 300) i;
    insert into hypervisor (node_id, cores, ram) select id, 8, 1e10 from node; insert into document (node_id) select id from node;
    insert into tombstone (node_id, kind, name) values (1, 'bridge', 'br-9-0'); commit`);

  const { config } = loadConfig({
    DATABASE_URL: url,
    CORRAL_DATA: `/tmp/${name}`,
    CORRAL_DEMO: '0',
    CORRAL_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
  });
  const corral = await openCorral(config);
  try {
    expect(await firstStart(corral, undefined, undefined)).toBeUndefined();
    const { rows } = await client.query('select count(*)::int as n, count(reported_at)::int as reported from node_status join node on id = node_id');
    expect(rows).toEqual([{ n: 300, reported: 0 }]);
    expect((await client.query("select reloptions from pg_class where relname = 'node_status'")).rows).toEqual([{ reloptions: ['fillfactor=50'] }]);
    expect(await createThing(corral.store, corral.catalog.byNoun('token'), { name: 'puppetserver', kind: 'server' })).toMatchObject({ kind: 'server' });
    await createThing(corral.store, corral.catalog.byNoun('node'), {
      fqdn: 'new.example.com',
      site: 'fra1',
      roles: { hypervisor: { methods: ['KVM'], cores: 1, ram: 2 ** 30 } },
    });
    expect((await client.query('select count(*)::int as n from node_status')).rows).toEqual([{ n: 301 }]);
    for (const node of ['hv1.example.com', 'new.example.com']) {
      const { rows: found } = await client.query<{ version: string }>(
        "select d.number || '-' || d.hash as version from document d join node n on n.id = d.node_id where n.fqdn = $1",
        [node],
      );
      const resources = /-./.test(found[0]!.version) ? [documentResource(found[0]!.version)] : [];
      expect(await recordRun(corral.store, readPuppet(puppetReport(resources, { node })))).toMatchObject({ node, outcome: 'converged' });
    }
  } finally {
    await corral.close();
    await client.end();
  }
});
