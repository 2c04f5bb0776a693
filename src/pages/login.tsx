import type { ProblemDocument } from '../kernel/problem.ts';
import { Layout, render } from './layout.tsx';
import type { PageContext } from './types.ts';

/** The page that takes a token. */
export function loginPage(context: PageContext, { problem, next }: { problem?: ProblemDocument; next: string }): string {
  return render(
    <Layout context={context} title={problem ? 'Refused: Log in' : 'Log in'} bare>
      <div class="login">
        <h1>Log in</h1>
        <form method="post" action="/login" class="edit">
          <input type="hidden" name="next" value={next} />
          <div class={`field${problem ? ' bad' : ''}`}>
            <label for="token">Token</label>
            <input
              id="token"
              name="token"
              type="password"
              required
              autofocus
              autocomplete="current-password"
              spellcheck={false}
              placeholder="corral_…"
              aria-invalid={problem ? 'true' : undefined}
              aria-describedby={problem ? 'token-error token-help' : 'token-help'}
            />
            {problem ? (
              <p class="error" id="token-error" role="alert">
                {problem.detail}
              </p>
            ) : null}
            <p class="help" id="token-help">
              Begins with corral_. This browser keeps it for 12 hours, or until you log out.
            </p>
          </div>
          <button class="primary" type="submit">
            Log in
          </button>
        </form>
        <h2>Where to get a token</h2>
        <ul>
          <li>The first start of Corral prints an admin token, once.</li>
          <li>
            Someone with an admin token makes more, under Tokens here or with <code>POST /api/v1/tokens</code>: <b>admin</b> may do all, <b>reader</b> may read
            all.
          </li>
          <li>A node's token reads that node's documents, and is of no use here.</li>
        </ul>
      </div>
    </Layout>,
  );
}
