import { Hono, type Context } from 'hono';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import { authenticate, COOKIE, tokenOf } from '../auth/identity.ts';
import { defaults, Logins } from '../auth/people/logins.ts';
import { OIDC_CALLBACK, OIDC_LOGIN_SECONDS } from '../auth/oidc/login.ts';
import { personPending } from '../auth/people/sessions.ts';
import { otpauthUri } from '../auth/people/totp.ts';
import { tooMany } from '../limits/limits.ts';
import { Problem, type ProblemDocument } from '../kernel/problem.ts';
import { pageContext, type Env, type Services } from './answer.ts';
import { clientOf } from './client.ts';
import { cookieOf, giveCookie, localPath, orShow, page, PENDING, readForm, takeCookies } from './login.support.ts';

type Ctx = Context<Env>;

/** What authenticator apps show beside a code. */
export const ISSUER = 'Corral';
/** Cookie of a login that is under way at the OpenID Connect provider: Lax, because the way back begins there. */
const UNDERWAY = 'corral_oidc';
/** Cookie that tells the provider at the logout who it is, for logging out alone. */
const HINT = 'corral_oidc_logout';

export const loginsOf = (services: Services): Logins => new Logins(services.store, services.pool, services.login ?? defaults);

/** `/login` and what lies below it, and `/logout`. */
export function loginRoutes(services: Services): Hono<Env> {
  const app = new Hono<Env>();
  const logins = loginsOf(services);
  const { settings } = logins;
  app.use('/login/*', async (context, next) => {
    context.set('format', 'html');
    await next();
  });
  app.use('/login', async (context, next) => {
    context.set('format', 'html');
    await next();
  });

  const loginPage = (context: Ctx, view: { problem?: ProblemDocument; next: string; name?: string; token?: boolean }): string =>
    services.pages.login(pageContext(services, context), { ...view, ...(settings.oidc ? { oidc: settings.oidc.label } : {}) });

  app.get('/login', (context) => page(context, loginPage(context, { next: localPath(context.req.query('next')) })));
  app.post('/login', async (context) => {
    const form = await readForm(context);
    const next = localPath(form['next']);
    if (form['name'] === undefined) return withToken(context, form['token'] ?? '', next);
    return orShow(
      context,
      async () => {
        const opened = await logins.withPassword(form['name']!, form['password'] ?? '', clientOf(context, services), cookieOf(context));
        return goOn(context, opened, next);
      },
      (problem) => loginPage(context, { problem, next, name: form['name']! }),
    );
  });

  const goOn = (context: Ctx, opened: Awaited<ReturnType<Logins['withPassword']>>, next: string): Response => {
    giveCookie(context, opened, opened.pending ? PENDING : settings.length);
    return context.redirect(opened.pending ? `/login/factor?next=${encodeURIComponent(next)}` : next, 303);
  };

  /** The way in before there were people, and when none can log in. */
  const withToken = async (context: Ctx, given: string, next: string): Promise<Response> => {
    const token = given.trim();
    try {
      await authenticate(services.pool, tokenOf(`Bearer ${token}`, undefined));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const taken = await services.limits?.address(clientOf(context, services).address, true);
      if (taken && !taken.allowed) throw tooMany('address', taken);
      const problem = new Problem('bad-token', 'This token is not known here. Copy the whole of it, from corral_ on');
      return page(context, loginPage(context, { problem: problem.toDocument(), next, token: true }), problem);
    }
    setCookie(context, COOKIE, token, { httpOnly: true, sameSite: 'Strict', path: '/', maxAge: settings.length, secure: clientOf(context, services).secure });
    return context.redirect(next, 303);
  };

  app.post('/logout', async (context) => {
    const cookie = cookieOf(context);
    const factors = cookie === undefined ? [] : await logins.logout(cookie, clientOf(context, services));
    const hint = getCookie(context, HINT);
    takeCookies(context, [COOKIE]);
    if (hint !== undefined) deleteCookie(context, HINT, { path: '/logout' });
    const href = factors.includes('oidc') ? await settings.oidc?.logout(hint) : undefined;
    if (href === undefined) return context.redirect('/login', 303);
    /* No redirect: the policy of our pages lets no form lead elsewhere, and browsers count redirects in. */
    context.set('format', 'html');
    context.header('Refresh', `0; url=${href}`);
    return page(context, services.pages.loggedOut(pageContext(services, context), { provider: settings.oidc!.label, href }));
  });

  const factorPage = async (context: Ctx, next: string, problem?: ProblemDocument): Promise<string> => {
    const person = await logins.pending(cookieOf(context));
    const secret = await logins.enrolment(person);
    return services.pages.factor(pageContext(services, context), {
      name: person.name,
      next,
      ...(problem ? { problem } : {}),
      ...(secret === undefined ? {} : { secret, uri: otpauthUri(secret, person.name, ISSUER) }),
    });
  };
  app.get('/login/factor', async (context) => {
    const next = localPath(context.req.query('next'));
    if (!(await personPending(services.pool, cookieOf(context)))) return context.redirect(`/login?next=${encodeURIComponent(next)}`, 303);
    return page(context, await factorPage(context, next));
  });
  app.post('/login/factor', async (context) => {
    const form = await readForm(context);
    const next = localPath(form['next']);
    const cookie = cookieOf(context);
    const client = clientOf(context, services);
    const code = form['code'] ?? '';
    return orShow(
      context,
      async () => {
        if ((await logins.enrolment(await logins.pending(cookie))) === undefined) {
          giveCookie(context, await logins.withCode(cookie, code, client), settings.length);
          return context.redirect(next, 303);
        }
        const { opened, codes } = await logins.withFirstCode(cookie, code, client);
        giveCookie(context, opened, settings.length);
        return page(context, services.pages.recoveryCodes(pageContext(services, context), { codes, next }));
      },
      (problem) => factorPage(context, next, problem).catch(() => loginPage(context, { problem, next })),
    );
  });

  const firstPage = async (context: Ctx, link: string, problem?: ProblemDocument, given?: { name: string; fullName: string }): Promise<string> => {
    const { person, name } = await logins.link(link);
    return services.pages.first(pageContext(services, context), {
      link,
      first: person === null,
      name: name ?? given?.name ?? '',
      fullName: given?.fullName ?? '',
      ...(problem ? { problem } : {}),
    });
  };
  /* To look at it does not use it up: mail programs and scanners do so. */
  app.get('/login/first', async (context) => page(context, await firstPage(context, context.req.query('link') ?? '')));
  app.post('/login/first', async (context) => {
    const form = await readForm(context);
    const [link, name, fullName] = [form['link'] ?? '', form['name'] ?? '', form['full_name'] ?? ''];
    const given = { name, fullName, password: form['password'] ?? '', repeated: form['repeated'] ?? '' };
    return orShow(
      context,
      async () => goOn(context, await logins.withLink(link, given, clientOf(context, services), cookieOf(context)), '/'),
      (problem) => {
        if (problem.code === 'gone') throw new Problem('gone', problem.detail);
        return firstPage(context, link, problem, given);
      },
    );
  });

  app.get('/login/oidc', async (context) => {
    if (!settings.oidc) throw new Problem('not-found', 'No OpenID Connect provider is set up');
    const next = localPath(context.req.query('next'));
    return orShow(
      context,
      async () => {
        const { url, cookie } = await settings.oidc!.start(next);
        const { secure } = clientOf(context, services);
        setCookie(context, UNDERWAY, cookie, { httpOnly: true, sameSite: 'Lax', path: '/login/oidc', maxAge: OIDC_LOGIN_SECONDS, secure });
        return context.redirect(url, 303);
      },
      (problem) => loginPage(context, { problem, next }),
    );
  });
  app.get(OIDC_CALLBACK, async (context) => {
    const { oidc } = settings;
    if (!oidc) throw new Problem('not-found', 'No OpenID Connect provider is set up');
    const client = clientOf(context, services);
    const kept = getCookie(context, UNDERWAY);
    deleteCookie(context, UNDERWAY, { path: '/login/oidc' });
    return orShow(
      context,
      async () => {
        const { directory, next, hint } = await oidc.finish(kept, context.req.url).catch(async (error: unknown) => {
          await logins.tell(client, { kind: 'login_refused', reason: error instanceof Problem ? error.message : 'the provider cannot be asked' });
          throw error;
        });
        const opened = await logins.withDirectory(directory, client, cookieOf(context));
        if (hint !== undefined)
          setCookie(context, HINT, hint, { httpOnly: true, sameSite: 'Strict', path: '/logout', maxAge: settings.length, secure: client.secure });
        return goOn(context, opened, localPath(next));
      },
      (problem) => loginPage(context, { problem, next: '/' }),
    );
  });
  return app;
}
