import { Hono } from 'hono';
import { allow } from '../auth/identity.ts';
import { getRow } from '../db/read.ts';
import { Problem } from '../kernel/problem.ts';
import { redeliver } from '../modules/control/webhook.verbs.ts';
import { thingHref } from '../pages/link.ts';
import { answer, formatOf, type Env, type Services } from './answer.ts';

/** `POST /api/v1/webhook-deliveries/<id>/redeliver`. */
export function webhookRoutes(services: Services): Hono<Env> {
  const app = new Hono<Env>();
  const path = '/api/v1/webhook-deliveries/:id{[0-9]{1,15}}/redeliver';
  app.post(path, async (context) => {
    const format = formatOf(context);
    allow(context.get('identity')!, 'webhook:update');
    const id = Number(context.req.param('id'));
    await redeliver(services.db(), id);
    const model = services.catalog.byNoun('webhook_delivery');
    const row = await getRow(services.db(), services.catalog, model, String(id));
    if (format === 'html') return context.redirect(thingHref(model, row), 303);
    return answer(context, format, row, () => '', { version: row['version'] as number });
  });
  app.all(path, ({ req }) => {
    throw new Problem('method-not-allowed', `${req.method} is not possible here; possible: POST`, { extra: { allow: 'POST' } });
  });
  return app;
}
