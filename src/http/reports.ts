import { Hono, type Context } from 'hono';
import { allow } from '../auth/identity.ts';
import { readBody, decodeBody } from '../kernel/codec.ts';
import { Problem } from '../kernel/problem.ts';
import { factsOfFacter, readHeartbeat, toolFacts } from '../reports/heartbeat.ts';
import { recordHeartbeat, recordToolFacts } from '../reports/heartbeat.store.ts';
import { readPuppet } from '../reports/puppet.ts';
import { puppetdbCommand, readWireFacts, readWireReport } from '../reports/puppetdb.ts';
import type { Run } from '../reports/run.ts';
import { recordRun } from '../reports/run.store.ts';
import { readSalt } from '../reports/salt.ts';
import { parseRubyYaml } from '../reports/yaml.ts';
import type { Env, Services } from './answer.ts';

type Ctx = Context<Env>;

/** Heartbeats with all that a host sees; larger ones are no heartbeats. */
const HEARTBEAT_LIMIT = 4_194_304;

/** A body as hosts' tools send it: JSON or Puppet's YAML, packed or not. Strings may hold anything: they are made safe where they are kept. */
async function bodyOf({ store }: Services, context: Ctx, limit = store.reporting.limit): Promise<unknown> {
  const bytes = await readBody(context.req.raw, limit, { gzip: true });
  const type = (context.req.header('content-type') ?? 'application/json').split(';', 1)[0]!.trim().toLowerCase();
  if (/^(?:application|text)\/(?:x-)?(?:yaml|pson)$/.test(type) && !type.includes('pson')) return parseRubyYaml(new TextDecoder().decode(bytes));
  if (type !== 'application/json') return decodeBody(bytes, type);
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new Problem('bad-body', `The JSON body cannot be parsed: ${cause instanceof Error ? cause.message.slice(0, 200) : 'unknown reason'}`, { cause });
  }
}

/** What hosts and their servers send back; see docs for who may. */
export function reportRoutes(services: Services): Hono<Env> {
  const { store, pool } = services;
  const app = new Hono<Env>();
  const record = async (context: Ctx, run: Run): Promise<Response> => {
    allow(context.get('identity')!, 'report', run.node);
    return context.json(await recordRun(store, run));
  };
  /* Who may report nothing at all is told so before the body is read. */
  for (const path of ['/reports/puppet', '/reports/salt', '/heartbeats', '/pdb/cmd/v1']) {
    app.post(path, async (context, next) => {
      allow(context.get('identity')!, 'report');
      await next();
    });
    app.all(path, async ({ req }, next) => {
      if (req.method === 'POST') return next();
      throw new Problem('method-not-allowed', `${req.method} is not possible here; possible: POST`, { extra: { allow: 'POST' } });
    });
  }
  app.post('/reports/puppet', async (context) => record(context, readPuppet(await bodyOf(services, context))));
  app.post('/reports/salt', async (context) => record(context, readSalt(await bodyOf(services, context), new Date())));
  app.post('/heartbeats', async (context) => {
    const beat = readHeartbeat(await bodyOf(services, context, HEARTBEAT_LIMIT), new Date());
    allow(context.get('identity')!, 'report', beat.node);
    return context.json(await recordHeartbeat(pool, store, beat));
  });
  app.post('/pdb/cmd/v1', async (context) => {
    const { command, certname } = puppetdbCommand(new URL(context.req.url).searchParams);
    allow(context.get('identity')!, 'report', certname);
    const body = await bodyOf(services, context);
    if (command === 'store_report') {
      const run = readWireReport(body);
      if (run.node !== certname) throw new Problem('bad-request', `The report is of ${run.node}, and the parameter 'certname' says ${certname}`);
      await recordRun(store, run);
    } else if (command === 'replace_facts') {
      const facts = readWireFacts(body);
      await recordToolFacts(store, certname, factsOfFacter(facts), toolFacts(facts));
    }
    /* Catalogs are not kept, and a node is deactivated here by whoever may write: a command of a host's never takes a node out. */
    return context.json({ uuid: crypto.randomUUID() });
  });
  return app;
}
