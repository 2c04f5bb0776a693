import { Hono, type Context } from 'hono';
import { withOrigin } from '../db/transaction.ts';
import { decodeBody, readBody } from '../kernel/codec.ts';
import { Problem } from '../kernel/problem.ts';
import { decide, enrol, exchange, type From } from '../modules/control/enrolment.verbs.ts';
import { thingHref } from '../pages/link.ts';
import { answer, formatOf, type Env, type Services } from './answer.ts';
import { incomingOf, proxiesOf } from './client.ts';
import { originOf } from './origin.ts';
import { ownServices } from './own.ts';

type Ctx = Context<Env>;

/** Largest body of a host that enrols, in bytes. */
const LARGEST = 8192;

/** Paths of hosts that are not let in yet: the proof in the body says who asks. */
export const isEnrolmentPath = (path: string): boolean => /^\/enrolments(?:\/[^/]+\/token)?$/.test(path);

/** How hosts come in: `POST /enrolments`, an operator's word, `POST /enrolments/<uuid>/token`. */
export function enrolmentRoutes(whole: Services): Hono<Env> {
  const app = new Hono<Env>();
  const only = (path: string): void => {
    app.all(path, ({ req }) => {
      throw new Problem('method-not-allowed', `${req.method} is not possible here; possible: POST`, { extra: { allow: 'POST' } });
    });
  };
  const bodyOf = async (context: Ctx): Promise<unknown> => decodeBody(await readBody(context.req.raw, LARGEST), context.req.header('content-type') ?? null);
  const from = (context: Ctx): From => ({ address: proxiesOf(whole).addressOf(incomingOf(context)), requestId: context.get('requestId') });

  app.post('/enrolments', async (context) => {
    const format = formatOf(context, ['json', 'msgpack']);
    const row = await enrol(whole.store, await bodyOf(context), from(context));
    return answer(context, format, { id: row['uuid'], fqdn: row['fqdn'], state: row['state'], fingerprint: row['fingerprint'] }, () => '', { status: 201 });
  });
  only('/enrolments');
  app.post('/enrolments/:uuid/token', async (context) => {
    const format = formatOf(context, ['json', 'msgpack']);
    const data = await exchange(whole.store, context.req.param('uuid'), await bodyOf(context), from(context));
    const response = answer(context, format, data, () => '');
    response.headers.set('Cache-Control', 'no-store');
    return response;
  });
  only('/enrolments/:uuid/token');

  for (const verdict of ['approve', 'reject'] as const) {
    const path = `/api/v1/enrolments/:key/${verdict}`;
    app.post(path, async (context) => {
      const format = formatOf(context);
      const identity = context.get('identity')!;
      identity.rights.demand('enrolment:update', { everywhere: true });
      const { store, catalog } = ownServices(whole, identity);
      const row = await decide(withOrigin(store, originOf(context)), context.req.param('key')!, verdict);
      if (format === 'html') return context.redirect(thingHref(catalog.byNoun('enrolment'), row), 303);
      return answer(context, format, row, () => '', { version: row['version'] as number });
    });
    only(path);
  }
  return app;
}
