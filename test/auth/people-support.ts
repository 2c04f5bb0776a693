/** Browsers that log in, against the real server. */
import { totpCode, fromBase32, stepAt } from '../../src/auth/people/totp.ts';
import type { LoginEvent } from '../../src/auth/people/types.ts';
import type { TestCorral } from '../support/corral.ts';

export const PASSWORD = 'a horse that eats batteries';

/** A browser: keeps cookies, does not follow. */
export class Browser {
  readonly cookies = new Map<string, string>();
  readonly base: string;
  readonly headers: Record<string, string>;
  constructor(base: string, headers: Record<string, string> = {}) {
    this.base = base;
    this.headers = headers;
  }

  async ask(path: string, init: RequestInit = {}): Promise<Response> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(new URL(path, this.base), {
      redirect: 'manual',
      ...init,
      headers: { accept: 'text/html', ...this.headers, ...(cookie === '' ? {} : { cookie }), ...(init.headers as Record<string, string> | undefined) },
    });
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!;
      if (/max-age=0/i.test(line)) this.cookies.delete(name!);
      else this.cookies.set(name!, value!);
    }
    return answer;
  }

  post(path: string, form: Record<string, string>, headers: Record<string, string> = {}): Promise<Response> {
    return this.ask(path, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin', ...headers },
      body: new URLSearchParams(form).toString(),
    });
  }

  login(name: string, password = PASSWORD, next = '/account'): Promise<Response> {
    return this.post('/login', { name, password, next });
  }

  /** Whether it is logged in. */
  async isIn(): Promise<boolean> {
    return (await this.ask('/account')).status === 200;
  }

  /** The other browser of a thief. */
  copy(): Browser {
    const other = new Browser(this.base, this.headers);
    for (const [name, value] of this.cookies) other.cookies.set(name, value);
    return other;
  }
}

/** Makes a person who has set a password with the link. */
export async function makePerson(corral: Pick<TestCorral, 'make' | 'base'>, name: string, more: Record<string, unknown> = {}): Promise<Browser> {
  const row = await corral.make('person', { name, ...more });
  const browser = new Browser(corral.base);
  const link = new URL(String(row['login_link']), corral.base).searchParams.get('link')!;
  const answer = await browser.post('/login/first', { link, password: PASSWORD, repeated: PASSWORD });
  if (answer.status !== 303) throw new Error(`${answer.status} ${await answer.text()}`);
  return browser;
}

/** The code that an app shows, `steps` half minutes from now. */
export const codeOf = (secret: string, steps = 0): string => totpCode(fromBase32(secret), stepAt(Date.now()) + steps);

/** The secret that a page shows for typing. */
export const secretIn = (html: string): string => /with the key <code class="secret">([A-Z2-7 ]+)</.exec(html)![1]!.replaceAll(' ', '');

/** Sets a second factor up. @returns the secret and the recovery codes */
export async function setUp(browser: Browser): Promise<{ secret: string; codes: string[] }> {
  await browser.post('/account/factor', { current: PASSWORD });
  const secret = secretIn(await (await browser.ask('/account/factor')).text());
  /* The older one, so that the one of now can follow; once more where half a minute was just over. */
  for (let tries = 0; ; tries++) {
    const answer = await browser.post('/account/factor/confirm', { code: codeOf(secret, -1) });
    if (answer.status === 200 || tries > 0) return { secret, codes: codesIn(await answer.text()) };
  }
}

export const codesIn = (html: string): string[] => [...html.matchAll(/<li><code>([a-z0-9-]{19})<\/code>/g)].map((found) => found[1]!);

/** What the audit log is told. */
export function auditor(): { events: LoginEvent[]; audit: (db: unknown, event: LoginEvent) => Promise<void>; kinds: () => string[] } {
  const events: LoginEvent[] = [];
  return { events, audit: async (_db, event) => void events.push(event), kinds: () => events.map(({ kind }) => kind) };
}
