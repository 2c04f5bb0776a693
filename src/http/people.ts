import { Hono, type Context } from 'hono';
import { allow } from '../auth/identity.ts';
import { removeTotp } from '../auth/people/factors.ts';
import { resetPerson } from '../auth/people/reset.ts';
import { endByUuid, endSessions } from '../auth/people/sessions.ts';
import { idOf } from '../db/read.ts';
import { Problem } from '../kernel/problem.ts';
import { answer, formatOf, pageContext, type Env, type Services } from './answer.ts';
import { loginsOf } from './login.ts';
import { readForm } from './login.support.ts';

type Ctx = Context<Env>;

interface PersonRow {
  readonly id: number;
  readonly name: string;
  readonly admin: boolean;
}

/** What admins do for people: a new link, taking the second factor away, ending sessions. */
export function peopleRoutes(services: Services): Hono<Env> {
  const app = new Hono<Env>();
  const { pool } = services;
  const logins = loginsOf(services);
  const base = '/api/v1/people/:key';

  const personOf = async (context: Ctx): Promise<PersonRow> => {
    formatOf(context);
    allow(context.get('identity')!, 'person:update');
    const id = await idOf(services.db(), services.catalog, services.catalog.byNoun('person'), context.req.param('key')!);
    const { rows } = await pool.query<PersonRow>('select id::float8 as id, name, admin from person where id = $1', [id]);
    if (!rows[0]) throw new Problem('not-found', 'There is no such person');
    /* Whoever makes a link for an admin could become that admin. */
    if (rows[0].admin) allow(context.get('identity')!, '*:*');
    return rows[0];
  };
  const told = (context: Ctx, person: PersonRow) => ({
    person: person.id,
    name: person.name,
    actor: context.get('identity')!.name,
    requestId: context.get('requestId'),
  });
  /** Forms have no DELETE of their own. */
  const deletion = (path: string, work: (context: Ctx) => Promise<Response>): void => {
    app.delete(path, work);
    app.post(path, async (context) => {
      if ((await readForm(context))['_method'] !== 'DELETE') throw new Problem('method-not-allowed', 'Possible here: DELETE', { extra: { allow: 'DELETE' } });
      return work(context);
    });
    app.all(path, ({ req }) => {
      throw new Problem('method-not-allowed', `${req.method} is not possible here; possible: DELETE`, { extra: { allow: 'DELETE' } });
    });
  };
  const back = (context: Ctx, person: PersonRow, data: unknown): Response =>
    formatOf(context) === 'html'
      ? context.redirect(`/api/v1/people/${encodeURIComponent(person.name)}`, 303)
      : answer(context, formatOf(context), data, () => '');

  app.post(`${base}/reset`, async (context) => {
    const person = await personOf(context);
    const { actor, requestId } = told(context, person);
    const data = await resetPerson(services.store, pool, person.name, { audit: logins.settings.audit, actor, requestId });
    const response = answer(context, formatOf(context), data, () => services.pages.link(pageContext(services, context), data));
    response.headers.set('Cache-Control', 'no-store');
    return response;
  });
  app.all(`${base}/reset`, ({ req }) => {
    throw new Problem('method-not-allowed', `${req.method} is not possible here; possible: POST`, { extra: { allow: 'POST' } });
  });
  deletion(`${base}/second-factor`, async (context) => {
    const person = await personOf(context);
    const removed = await removeTotp(pool, person.id);
    if (removed) await logins.tell(undefined, { kind: 'second_factor_removed', ...told(context, person) });
    return back(context, person, { removed });
  });
  deletion(`${base}/sessions`, async (context) => {
    const person = await personOf(context);
    const ended = await endSessions(pool, person.id);
    for (const { uuid } of ended) await logins.tell(undefined, { kind: 'session_ended', ...told(context, person), session: uuid });
    return back(context, person, { ended: ended.length });
  });
  app.delete('/api/v1/sessions/:uuid', async (context) => {
    formatOf(context);
    allow(context.get('identity')!, 'session:delete');
    const ended = await endByUuid(pool, context.req.param('uuid'));
    if (!ended) throw new Problem('not-found', 'There is no such session, or it has ended');
    const { person, name, uuid } = ended;
    await logins.tell(undefined, {
      kind: 'session_ended',
      person,
      name,
      actor: context.get('identity')!.name,
      requestId: context.get('requestId'),
      session: uuid,
    });
    return context.body(null, 204);
  });
  return app;
}
