import { Hono, type Context } from 'hono';
import type { Logger } from 'pino';
import { allow } from '../auth/identity.ts';
import { parseBulk } from '../bulk/operations.ts';
import type { BulkAnswer } from '../bulk/result.ts';
import { bulk } from '../bulk/run.ts';
import { toProblem } from '../db/errors.ts';
import { Planned, withOrigin } from '../db/transaction.ts';
import { decodeBody, readBody } from '../kernel/codec.ts';
import { media } from '../kernel/negotiate.ts';
import { Problem } from '../kernel/problem.ts';
import { answer, formatOf, type Env, type Services } from './answer.ts';
import { idempotent } from './idempotency.ts';
import { originOf } from './origin.ts';
import { ownServices } from './own.ts';
import { answerPlan, planningOf, planOrigin } from './plan.ts';

/** Largest body of many operations, in bytes, where no setting says. */
const LIMIT = 33_554_432;

/** `POST /bulk`, and under /api/v1: many operations in one transaction. */
export function bulkRoutes(services: Services, log: Logger): Hono<Env> {
  const app = new Hono<Env>();
  for (const path of ['/bulk', '/api/v1/bulk']) {
    app.post(path, (context) => carryOut(services, log, context));
    app.all(path, ({ req }) => {
      throw new Problem('method-not-allowed', `${req.method} is not possible here; possible: POST`, { extra: { allow: 'POST' } });
    });
  }
  return app;
}

async function carryOut(whole: Services, log: Logger, context: Context<Env>): Promise<Response> {
  allow(context.get('identity')!, 'write');
  const services = ownServices(whole, context.get('identity')!);
  const format = formatOf(context, ['json', 'msgpack', 'ndjson']);
  const search = new URL(context.req.url).searchParams;
  const planning = planningOf(context, search);
  for (const name of search.keys())
    throw new Problem('unknown-parameter', `'${name.slice(0, 80)}' is not a parameter of /bulk; there is: dry_run`, {
      extra: { parameter: name.slice(0, 200) },
    });
  const bytes = await readBody(context.req.raw, services.bulkLimit ?? LIMIT);
  const request = parseBulk(services.catalog, decodeBody(bytes, context.req.header('content-type') ?? null));
  /* Sets are known by their names alone, over all customers. */
  if (request.set !== undefined) context.get('identity')!.rights.demand('apply_set:update', { everywhere: true });
  let change: number | undefined;
  const tells = context.get('identity')!.rights.mayEverywhere('change:read');
  const own = { ...originOf(context), ...planOrigin(planning) };
  /* The head of an answer that tells progress is gone by then. */
  const origin = format === 'ndjson' ? { ...own, committed: (number?: number) => void (change = tells ? number : undefined) } : own;
  const work = async (onProgress?: (done: number, total: number) => void): Promise<Response> => {
    try {
      return await idempotent(context, bytes, origin, kept, async (own) => {
        const done = await bulk(withOrigin(services.store, own), request, onProgress);
        return answer(context, format, done, () => '');
      });
    } catch (error) {
      if (!(error instanceof Planned)) throw error;
      return answerPlan(services, context, error, planning, { status: 200, answer: withoutSecrets(error.value as BulkAnswer) });
    }
  };
  return format === 'ndjson' ? told(services, log, context, work, () => change) : work();
}

/**
 * For who waits before a screen: a line now and then of how far it is, and in the last one what else would be the
 * status and body of the answer. The status of this one is 200 from the start on.
 */
function told(
  services: Services,
  log: Logger,
  context: Context<Env>,
  work: (onProgress: (done: number, total: number) => void) => Promise<Response>,
  changed: () => number | undefined,
): Response {
  const encoder = new TextEncoder();
  let open = true;
  const stream = new ReadableStream<Uint8Array>({
    cancel: () => {
      open = false;
    },
    start(controller) {
      const line = (data: object): void => {
        if (open) controller.enqueue(encoder.encode(`${JSON.stringify(data)}\n`));
      };
      const end = async (): Promise<object> => {
        try {
          const response = await work((done, total) => line({ done, total }));
          const change = response.headers.get('corral-change') ?? changed();
          return { status: response.status, ...(change === undefined ? {} : { change: Number(change) }), body: await response.json() };
        } catch (error) {
          const seen = toProblem(error, services.catalog, undefined);
          const problem =
            seen instanceof Problem
              ? seen
              : new Problem('internal', `Something failed in Corral; its log has more under request id ${context.get('requestId')}`);
          if (problem.status >= 500) log.error({ id: context.get('requestId'), err: error }, problem.message);
          return { status: problem.status, body: problem.toDocument() };
        }
      };
      const tell = async (): Promise<void> => {
        line(await end());
        if (open) controller.close();
        open = false;
      };
      void tell();
    },
  });
  return context.body(stream, 200, { 'Content-Type': media.ndjson, 'Cache-Control': 'no-store' });
}

const kept = (value: unknown): { status: 200; data: unknown; secret: boolean } => ({
  status: 200,
  data: value,
  secret: (value as BulkAnswer).results.some((one) => one.once !== undefined),
});

/** What a plan shows of an answer: what is shown once would be another the next time. */
function withoutSecrets(value: BulkAnswer): BulkAnswer {
  const results = value.results.map((one) => (one.once ? { ...one, once: Object.fromEntries(Object.keys(one.once).map((name) => [name, '(secret)'])) } : one));
  return { ...value, results };
}
