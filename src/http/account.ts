import { Hono, type Context } from 'hono';
import { accountOf } from '../auth/people/account.ts';
import { beginTotp, begunTotp, confirmTotp, hasFactor, removeTotp, renewCodes } from '../auth/people/factors.ts';
import { endByUuid, personOfSession, rotateSession, sessionsOf, type LoggedIn } from '../auth/people/sessions.ts';
import { otpauthUri } from '../auth/people/totp.ts';
import { Problem, type ProblemDocument } from '../kernel/problem.ts';
import { pageContext, type Env, type Services } from './answer.ts';
import { clientOf } from './client.ts';
import { ISSUER, loginsOf } from './login.ts';
import { cookieOf, giveCookie, orShow, page, readForm, type Form } from './login.support.ts';

type Ctx = Context<Env>;

/** `/account`: what people do with their own password, second factor and sessions. */
export function accountRoutes(services: Services): Hono<Env> {
  const app = new Hono<Env>();
  const { pool, store } = services;
  const logins = loginsOf(services);

  const me = async (context: Ctx): Promise<LoggedIn> => {
    context.set('format', 'html');
    const person = context.req.header('authorization') === undefined ? await personOfSession(pool, cookieOf(context)) : undefined;
    if (person) return person;
    throw new Problem('forbidden', 'Only people have an account; you came with a token. Log out, and log in with your name');
  };

  const accountPage = async (context: Ctx, person: LoggedIn, refused?: { at: string; problem: ProblemDocument }): Promise<string> => {
    const account = await accountOf(pool, person.id);
    const sessions = await sessionsOf(pool, person.id);
    const must = await logins.mustHaveFactor(person, person.factors);
    const done = context.req.query('done');
    return services.pages.account(pageContext(services, context), {
      account,
      sessions: sessions.map((one) => ({ ...one, here: one.id === person.session })),
      must,
      ...(done === undefined ? {} : { done }),
      ...(refused ? { refused } : {}),
    });
  };

  /** A form of the account: done, it goes back to the page, which says so; refused, the page shows why beside the form. */
  const form = (path: string, at: string, work: (context: Ctx, person: LoggedIn, form: Form) => Promise<Response | string>): void => {
    app.post(path, async (context) => {
      const person = await me(context);
      const given = await readForm(context);
      return orShow(
        context,
        async () => {
          const done = await work(context, person, given);
          return typeof done === 'string' ? context.redirect(`/account?done=${done}`, 303) : done;
        },
        (problem) => (at === 'confirm' ? setUpPage(context, person, problem) : accountPage(context, person, { at, problem })),
      );
    });
  };

  app.get('/account', async (context) => page(context, await accountPage(context, await me(context))));

  form('/account/password', 'password', async (context, person, given) => {
    const client = clientOf(context, services);
    await logins.changePassword(person, { current: given['current'] ?? '', password: given['password'] ?? '', repeated: given['repeated'] ?? '' }, client);
    const rotated = await rotateSession(pool, cookieOf(context)!, 'password', { client, settings: logins.settings });
    if (rotated) giveCookie(context, rotated, logins.settings.length);
    return 'password';
  });

  const setUpPage = async (context: Ctx, person: LoggedIn, problem?: ProblemDocument): Promise<string> => {
    const secret = await begunTotp(pool, store.secrets, person.id);
    if (secret === undefined) return accountPage(context, person, problem && { at: 'factor', problem });
    const uri = otpauthUri(secret, person.name, ISSUER);
    return services.pages.setUpFactor(pageContext(services, context), { secret, uri, ...(problem ? { problem } : {}) });
  };
  app.get('/account/factor', async (context) => page(context, await setUpPage(context, await me(context))));
  form('/account/factor', 'factor', async (context, person, given) => {
    if (await hasFactor(pool, person.id)) throw new Problem('conflict', 'A second factor is set up already; remove it first');
    await logins.confirm(person, given['current'] ?? '', clientOf(context, services));
    await beginTotp(pool, store.secrets, person.id);
    return context.redirect('/account/factor', 303);
  });
  form('/account/factor/confirm', 'confirm', async (context, person, given) => {
    const client = clientOf(context, services);
    const codes = await confirmTotp(pool, store.secrets, person.id, given['code'] ?? '');
    if (!codes) throw new Problem('bad-login', 'This code is wrong; take the next one that the app shows, and see that the clock of the phone is right');
    await logins.tell(client, { kind: 'second_factor_set', person: person.id, name: person.name });
    await logins.endOthers(person, client, 'a second factor was set up');
    const rotated = await rotateSession(pool, cookieOf(context)!, 'totp', { client, settings: logins.settings });
    if (rotated) giveCookie(context, rotated, logins.settings.length);
    return page(context, services.pages.recoveryCodes(pageContext(services, context), { codes, next: '/account' }));
  });
  form('/account/factor/remove', 'factor', async (context, person, given) => {
    const client = clientOf(context, services);
    await logins.confirmCode(person, given['code'] ?? '', client);
    if (await removeTotp(pool, person.id)) await logins.tell(client, { kind: 'second_factor_removed', person: person.id, name: person.name });
    return 'factor-removed';
  });
  form('/account/codes', 'codes', async (context, person, given) => {
    const client = clientOf(context, services);
    await logins.confirmCode(person, given['code'] ?? '', client);
    const codes = await renewCodes(pool, person.id);
    await logins.tell(client, { kind: 'recovery_codes_made', person: person.id, name: person.name });
    return page(context, services.pages.recoveryCodes(pageContext(services, context), { codes, next: '/account' }));
  });
  form('/account/sessions', 'sessions', async (context, person, given) => {
    const client = clientOf(context, services);
    if (given['session'] === undefined) {
      await logins.endOthers(person, client, 'ended by the person');
      return 'sessions';
    }
    const ended = await endByUuid(pool, given['session'], person.id);
    if (!ended) throw new Problem('not-found', 'This session has ended already');
    await logins.tell(client, { kind: 'session_ended', person: person.id, name: person.name, session: ended.uuid, reason: 'ended by the person' });
    return 'sessions';
  });
  return app;
}
