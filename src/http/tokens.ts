import { Hono } from 'hono';
import { z } from 'zod';
import { check } from '../db/check.ts';
import { withOrigin } from '../db/transaction.ts';
import { decodeBody, readBody } from '../kernel/codec.ts';
import { Problem } from '../kernel/problem.ts';
import { OVERLAP, rotateToken } from '../modules/control/token.verbs.ts';
import { answer, formatOf, type Env, type Services } from './answer.ts';
import { idempotent, type Kept } from './idempotency.ts';
import { originOf } from './origin.ts';
import { ownServices } from './own.ts';
import { showPage } from './thing.ts';

const schema = z.strictObject({
  overlap: z.coerce.number().int().min(0).max(2_592_000).optional().describe('Seconds for which the old one is good, too: 0 to 2592000; a day when left out.'),
});

/** `POST /api/v1/tokens/<name>/rotate`: makes a token anew under its name. */
export function tokenRoutes(whole: Services): Hono<Env> {
  const app = new Hono<Env>();
  app.post('/api/v1/tokens/:key/rotate', async (context) => {
    const format = formatOf(context);
    const identity = context.get('identity')!;
    identity.rights.demand('token:update', { everywhere: true });
    const services = ownServices(whole, identity);
    const bytes = await readBody(context.req.raw, services.bodyLimit);
    const body = bytes.length === 0 ? {} : decodeBody(bytes, context.req.header('content-type') ?? null);
    const { overlap = OVERLAP } = check(schema, body) as z.output<typeof schema>;
    const keep = (data: unknown): Kept => ({ status: 200, data, secret: true });
    return idempotent(context, bytes, originOf(context), keep, async (origin) => {
      const row = await rotateToken(withOrigin(services.store, origin), context.req.param('key'), overlap);
      if (format === 'html') return showPage(services, context, services.catalog.byNoun('token'), row, { token: row['token'] });
      return answer(context, format, row, () => '', { version: row['version'] as number });
    });
  });
  app.all('/api/v1/tokens/:key/rotate', ({ req }) => {
    throw new Problem('method-not-allowed', `${req.method} is not possible here; possible: POST`, { extra: { allow: 'POST' } });
  });
  return app;
}
