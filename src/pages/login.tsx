import type { Child } from 'hono/jsx';
import type { ProblemDocument } from '../kernel/problem.ts';
import { Layout, render } from './layout.tsx';
import { Qr } from './qr.tsx';
import type { FactorView, FirstView, LoginView, PageContext } from './types.ts';

/** What is wrong with a field: what the problem says of it. */
export const faultAt = (problem: ProblemDocument | undefined, pointer: string): string | undefined =>
  problem?.errors?.find((one) => one.pointer === pointer)?.message;

interface EntryProps {
  readonly name: string;
  readonly label: string;
  readonly type?: 'text' | 'password';
  readonly value?: string;
  readonly autocomplete: string;
  readonly error?: string | undefined;
  readonly help?: Child;
  readonly focus?: boolean;
  readonly required?: boolean;
  readonly code?: boolean;
  readonly placeholder?: string;
}

/** One input with its label, what it is for and what is wrong with it. */
export const Entry = ({ name, label, type = 'text', value, autocomplete, error, help, focus, required = true, code, placeholder }: EntryProps) => {
  const described = [...(error === undefined ? [] : [`${name}-error`]), ...(help ? [`${name}-help`] : [])].join(' ');
  return (
    <div class={`field${error === undefined ? '' : ' bad'}`}>
      <label for={name}>{label}</label>
      <input
        id={name}
        name={name}
        type={type}
        value={value}
        required={required}
        autofocus={focus}
        autocomplete={autocomplete}
        autocapitalize="none"
        spellcheck={false}
        placeholder={placeholder}
        class={code ? 'otp' : undefined}
        aria-invalid={error === undefined ? undefined : 'true'}
        aria-describedby={described === '' ? undefined : described}
      />
      {error === undefined ? null : (
        <p class="error" id={`${name}-error`} role="alert">
          {error}
        </p>
      )}
      {help ? (
        <p class="help" id={`${name}-help`}>
          {help}
        </p>
      ) : null}
    </div>
  );
};

const passwordHelp = 'At least 12 characters; a few words that belong to nobody else will do.';

/** A new password, twice. */
export const NewPassword = ({ problem }: { problem?: ProblemDocument | undefined }) => (
  <>
    <Entry name="password" label="New password" type="password" autocomplete="new-password" error={faultAt(problem, '/password')} help={passwordHelp} />
    <Entry name="repeated" label="The same again" type="password" autocomplete="new-password" error={faultAt(problem, '/repeated')} />
  </>
);

/** The page that takes name and password, or a token. */
export function loginPage(context: PageContext, { problem, next, name, token = false, oidc }: LoginView): string {
  const byName = token ? undefined : problem?.detail;
  return render(
    <Layout context={context} title={problem ? 'Refused: Log in' : 'Log in'} bare>
      <div class="login">
        <h1>Log in</h1>
        {byName !== undefined && name === undefined ? (
          <p class="error" role="alert">
            {byName}
          </p>
        ) : null}
        <form method="post" action="/login" class="edit">
          <input type="hidden" name="next" value={next} />
          <Entry name="name" label="Name" value={name ?? ''} autocomplete="username" focus={name === undefined && !token} />
          <Entry
            name="password"
            label="Password"
            type="password"
            autocomplete="current-password"
            error={name === undefined ? undefined : byName}
            focus={name !== undefined}
          />
          <button class="primary" type="submit">
            Log in
          </button>
        </form>
        {oidc === undefined ? null : (
          <p class="or">
            <a class="button" href={`/login/oidc?next=${encodeURIComponent(next)}`}>
              Log in with {oidc}
            </a>
          </p>
        )}
        <details class="fold" open={token}>
          <summary>Log in with a token</summary>
          <form method="post" action="/login">
            <input type="hidden" name="next" value={next} />
            <Entry
              name="token"
              label="Token"
              type="password"
              autocomplete="off"
              placeholder="corral_…"
              error={token ? problem?.detail : undefined}
              focus={token}
              help="Begins with corral_. This browser keeps it for some hours, or until you log out."
            />
            <button type="submit">Log in with the token</button>
          </form>
        </details>
        <h2>No name yet?</h2>
        <ul>
          <li>The first start of Corral prints a link, once, with which the first person is made.</li>
          <li>
            An admin makes more people, under People here or with <code>corral person create</code>: they get a link, too.
          </li>
          <li>
            Who has lost the password gets another link from an admin, or from <code>corral person reset NAME --local</code> where the database is.
          </li>
        </ul>
      </div>
    </Layout>,
  );
}

/** After a logout here: the browser goes on by itself, where it can. */
export function loggedOutPage(context: PageContext, { provider, href }: { provider: string; href: string }): string {
  return render(
    <Layout context={context} title="Logged out" bare>
      <div class="login">
        <h1>Logged out</h1>
        <p>You are logged out here. The login with {provider} may go on for other programs.</p>
        <p class="or">
          <a class="button" href={href}>
            Log out of {provider}
          </a>
        </p>
      </div>
    </Layout>,
  );
}

/** Setting up an authenticator app: the picture, the same as text, and the first code. */
export const SetUp = ({
  secret,
  uri,
  action,
  problem,
  children,
}: {
  secret: string;
  uri: string;
  action: string;
  problem?: ProblemDocument | undefined;
  children?: Child;
}) => (
  <form method="post" action={action} class="edit">
    <ol class="steps">
      <li>
        Have an authenticator app (Aegis, FreeOTP, Google Authenticator, a password manager, …) read this picture.
        <Qr text={uri} label="Picture for the authenticator app" />
        <details>
          <summary>Type it in instead</summary>
          <p>
            Time-based, 6 digits, 30 seconds, with the key <code class="secret">{secret.replaceAll(/(.{4})(?=.)/g, '$1 ')}</code>
          </p>
        </details>
      </li>
      <li>
        <Entry name="code" label="Type the code that it shows" autocomplete="one-time-code" code focus error={problem?.detail} />
      </li>
    </ol>
    {children}
    <button class="primary" type="submit">
      Turn it on
    </button>
  </form>
);

/** The page that takes the second factor, or has it set up where it must be. */
export function factorPage(context: PageContext, { name, next, problem, secret, uri }: FactorView): string {
  const hidden = <input type="hidden" name="next" value={next} />;
  return render(
    <Layout context={context} title={problem ? 'Refused: Second factor' : 'Second factor'} bare>
      <div class="login">
        <h1>Second factor</h1>
        {secret !== undefined && uri !== undefined ? (
          <>
            <p>
              <b>{name}</b> must have a second factor: a code of an app, beside the password.
            </p>
            <SetUp secret={secret} uri={uri} action="/login/factor" problem={problem}>
              {hidden}
            </SetUp>
          </>
        ) : (
          <form method="post" action="/login/factor" class="edit">
            {hidden}
            <Entry
              name="code"
              label={`Code for ${name}`}
              autocomplete="one-time-code"
              code
              focus
              error={problem?.detail}
              help="The six digits that your authenticator app shows, or one of your recovery codes."
            />
            <button class="primary" type="submit">
              Log in
            </button>
          </form>
        )}
        <form method="post" action="/logout">
          <button class="quiet" type="submit">
            Log in as somebody else
          </button>
        </form>
      </div>
    </Layout>,
  );
}

/** The page of a one-time link: a new password, and the first person. */
export function firstPage(context: PageContext, { link, first, name, fullName, problem }: FirstView): string {
  const refused = problem && !['/password', '/repeated', '/name', '/full_name'].some((pointer) => faultAt(problem, pointer) !== undefined);
  return render(
    <Layout context={context} title={problem ? 'Refused: Set a password' : 'Set a password'} bare>
      <div class="login">
        <h1>{first ? 'The first person' : 'Set a password'}</h1>
        <p>
          {first ? (
            'Nobody can log in by name yet. The person that you make now may do everything, and makes the others.'
          ) : (
            <>
              For <b>{name}</b>. This link works once.
            </>
          )}
        </p>
        {refused ? (
          <p class="error" role="alert">
            {problem.detail}
          </p>
        ) : null}
        <form method="post" action="/login/first" class="edit">
          <input type="hidden" name="link" value={link} />
          {first ? (
            <>
              <Entry
                name="name"
                label="Name to log in with"
                value={name}
                autocomplete="username"
                error={faultAt(problem, '/name')}
                help="a-z, 0-9, dot, dash, underscore, @ and +."
                focus
              />
              <Entry name="full_name" label="Full name" value={fullName} autocomplete="name" required={false} error={faultAt(problem, '/full_name')} />
            </>
          ) : (
            <input type="text" name="username" value={name} autocomplete="username" class="unseen" readonly tabindex={-1} aria-label="Name" />
          )}
          <NewPassword problem={problem} />
          <button class="primary" type="submit">
            {first ? 'Make it and log in' : 'Set it and log in'}
          </button>
        </form>
      </div>
    </Layout>,
  );
}
