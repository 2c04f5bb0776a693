import type { ProblemDocument } from '../kernel/problem.ts';
import { Layout, render } from './layout.tsx';
import { Entry, faultAt, NewPassword, SetUp } from './login.tsx';
import type { AccountView, PageContext, SetUpView } from './types.ts';
import { Time } from './value.tsx';

const done: Readonly<Record<string, string>> = {
  password: 'The password is changed. Every other session has ended.',
  'factor-removed': 'The second factor is removed.',
  sessions: 'Ended.',
};

/** What the parts of the page need. */
interface Part {
  readonly view: AccountView;
  readonly problem: ProblemDocument | undefined;
}

const Code = ({ id, problem }: { id: string; problem: ProblemDocument | undefined }) => (
  <div class={`field${problem ? ' bad' : ''}`}>
    <label for={id}>Code of the app, or a recovery code</label>
    <input id={id} name="code" required autocomplete="one-time-code" class="otp" spellcheck={false} aria-describedby={problem ? `${id}-error` : undefined} />
    {problem ? (
      <p class="error" id={`${id}-error`} role="alert">
        {problem.detail}
      </p>
    ) : null}
  </div>
);

const Password = ({ view: { account }, problem }: Part) => {
  if (account.source !== 'local')
    return (
      <section class="panel" aria-labelledby="password-title">
        <h2 id="password-title">Password</h2>
        <p>It is kept by the directory ({account.source}), and changed there.</p>
      </section>
    );
  return (
    <section class="panel" aria-labelledby="password-title">
      <h2 id="password-title">Password</h2>
      <p class="muted">
        {account.password_at === null ? (
          'None is set.'
        ) : (
          <>
            Set <Time at={account.password_at} />.
          </>
        )}
      </p>
      <details open={problem !== undefined}>
        <summary>Change it</summary>
        <form method="post" action="/account/password" class="edit">
          <input type="text" name="username" value={account.name} autocomplete="username" class="unseen" readonly tabindex={-1} aria-label="Name" />
          <Entry
            name="current"
            label="Password now"
            type="password"
            autocomplete="current-password"
            error={problem && faultAt(problem, '/password') === undefined && faultAt(problem, '/repeated') === undefined ? problem.detail : undefined}
          />
          <NewPassword problem={problem} />
          <button class="primary" type="submit">
            Change the password
          </button>
          <p class="help">Every other session ends.</p>
        </form>
      </details>
    </section>
  );
};

const Factor = ({ view: { account, must }, problem, codes }: Part & { codes: ProblemDocument | undefined }) => (
  <section class="panel" aria-labelledby="factor-title">
    <h2 id="factor-title">Second factor</h2>
    {account.second_factor ? (
      <>
        <p>
          On: a code of your app is asked for at each login. {account.codes} recovery {account.codes === 1 ? 'code is' : 'codes are'} left.
        </p>
        <details open={codes !== undefined}>
          <summary>Make new recovery codes</summary>
          <form method="post" action="/account/codes" class="edit">
            <Code id="codes-code" problem={codes} />
            <button type="submit">Make new ones in place of the old</button>
          </form>
        </details>
        <details open={problem !== undefined}>
          <summary>Remove it</summary>
          <form method="post" action="/account/factor/remove" class="edit">
            {must ? <p>You must have one: at the next login you set up another.</p> : null}
            <Code id="remove-code" problem={problem} />
            <button class="danger" type="submit">
              Remove the second factor
            </button>
          </form>
        </details>
      </>
    ) : (
      <>
        <p>Off. With it, a stolen password is not enough to log in: a code of an app on your phone is asked for, too.</p>
        <form method="post" action="/account/factor" class="edit">
          {account.source === 'local' ? (
            <div class={`field${problem ? ' bad' : ''}`}>
              <label for="factor-current">Password</label>
              <input
                id="factor-current"
                name="current"
                type="password"
                required
                autocomplete="current-password"
                aria-describedby={problem ? 'factor-current-error' : undefined}
              />
              {problem ? (
                <p class="error" id="factor-current-error" role="alert">
                  {problem.detail}
                </p>
              ) : null}
            </div>
          ) : null}
          <button type="submit">Set it up</button>
        </form>
      </>
    )}
  </section>
);

const words: Readonly<Record<string, string>> = {
  password: 'password',
  ldap: 'LDAP',
  oidc: 'OpenID Connect',
  totp: 'code of the app',
  recovery: 'recovery code',
};

const Sessions = ({ view: { sessions }, problem }: Part) => (
  <section class="panel whole" aria-labelledby="sessions-title">
    <h2 id="sessions-title">Sessions</h2>
    {problem ? (
      <p class="error" role="alert">
        {problem.detail}
      </p>
    ) : null}
    <ul class="sessions">
      {sessions.map((one) => (
        <li>
          <div>
            <b>{one.here ? 'This browser' : (one.address ?? 'Unknown address')}</b>
            {one.here && one.address !== null ? ` at ${one.address}` : ''}
            <div class="muted">{one.agent ?? 'It did not say what it is.'}</div>
            <div class="muted">
              Since <Time at={one.created_at} />, used <Time at={one.seen_at} />, ends <Time at={one.ends_at} />; by{' '}
              {one.factors.map((factor) => words[factor] ?? factor).join(' and ')}.
            </div>
          </div>
          {one.here ? null : (
            <form method="post" action="/account/sessions">
              <input type="hidden" name="session" value={one.uuid} />
              <button class="quiet" type="submit">
                End<span class="unseen"> the session at {one.address ?? 'an unknown address'}</span>
              </button>
            </form>
          )}
        </li>
      ))}
    </ul>
    {sessions.length > 1 ? (
      <form method="post" action="/account/sessions">
        <button type="submit">End all but this one</button>
      </form>
    ) : null}
  </section>
);

/** The page of one's own account. */
export function accountPage(context: PageContext, view: AccountView): string {
  const { account, refused } = view;
  const at = (place: string): ProblemDocument | undefined => (refused?.at === place ? refused.problem : undefined);
  const said = view.done === undefined ? undefined : done[view.done];
  return render(
    <Layout context={context} title={refused ? 'Refused: Account' : 'Account'}>
      <h1>Account</h1>
      <p class="summary">
        <b>{account.name}</b>
        {account.full_name === null ? '' : `, ${account.full_name}`}
        {account.email === null ? '' : `, ${account.email}`}
        {account.admin ? ', admin' : ''}
      </p>
      {said === undefined ? null : (
        <p class="done" role="status">
          {said}
        </p>
      )}
      <div class="account">
        <Password view={view} problem={at('password')} />
        <Factor view={view} problem={at('factor')} codes={at('codes')} />
        {account.groups.length > 0 ? (
          <section class="panel" aria-labelledby="groups-title">
            <h2 id="groups-title">Groups</h2>
            <p class="muted">As the directory said at the last login.</p>
            <ul>
              {account.groups.map((group) => (
                <li>{group}</li>
              ))}
            </ul>
          </section>
        ) : null}
        <Sessions view={view} problem={at('sessions')} />
      </div>
    </Layout>,
  );
}

/** The page on which a second factor is set up. */
export function setUpPage(context: PageContext, { secret, uri, problem }: SetUpView): string {
  return render(
    <Layout context={context} title={problem ? 'Refused: Set up the second factor' : 'Set up the second factor'}>
      <h1>Set up the second factor</h1>
      <SetUp secret={secret} uri={uri} action="/account/factor/confirm" problem={problem} />
      <p>
        <a href="/account">Back to the account</a>, without it
      </p>
    </Layout>,
  );
}

/** Recovery codes, shown this once. */
export function codesPage(context: PageContext, { codes, next }: { codes: readonly string[]; next: string }): string {
  return render(
    <Layout context={context} title="Recovery codes" bare={!context.identity}>
      <h1>Recovery codes</h1>
      <section class="once" aria-labelledby="once">
        <h2 id="once">Copy or print these now: they are shown once</h2>
        <ul class="codes">
          {codes.map((code) => (
            <li>
              <code>{code}</code>
            </li>
          ))}
        </ul>
        <p>Each is good for one login in place of a code of the app, for when the phone is lost. Corral keeps only their hashes.</p>
      </section>
      <p>
        <a class="button primary" href={next}>
          I have them: go on
        </a>
      </p>
    </Layout>,
  );
}
