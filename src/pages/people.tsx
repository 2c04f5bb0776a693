import type { Row } from '../db/read.ts';
import { Layout, render } from './layout.tsx';
import type { LinkView, PageContext } from './types.ts';
import { Time } from './value.tsx';

/** What an admin does for a person, on the person's page. */
export const PersonPanel = ({ row }: { row: Row }) => {
  const base = `/api/v1/people/${encodeURIComponent(String(row['name']))}`;
  return (
    <section class="panel" aria-labelledby="help-person">
      <h2 id="help-person">Help this person</h2>
      <div class="acts">
        {row['source'] === 'local' && row['state'] === 'active' ? (
          <form method="post" action={`${base}/reset`}>
            <button type="submit">New login link</button>
            <p class="help">With it the person sets a password, once, within an hour.</p>
          </form>
        ) : null}
        {row['second_factor'] === true ? (
          <form method="post" action={`${base}/second-factor`}>
            <input type="hidden" name="_method" value="DELETE" />
            <button class="danger" type="submit">
              Remove the second factor
            </button>
            <p class="help">For who has lost both the phone and the recovery codes.</p>
          </form>
        ) : null}
        <form method="post" action={`${base}/sessions`}>
          <input type="hidden" name="_method" value="DELETE" />
          <button type="submit">End all sessions</button>
          <p class="help">Every browser is logged out at once.</p>
        </form>
      </div>
    </section>
  );
};

/** A one-time link, shown to the admin who made it. */
export function linkPage(context: PageContext, { name, login_link, ends_at }: LinkView): string {
  const href = `/api/v1/people/${encodeURIComponent(name)}`;
  return render(
    <Layout context={context} title={`Login link · ${name}`} model={context.catalog.byNoun('person')}>
      <h1>Login link</h1>
      <section class="once" aria-labelledby="once">
        <h2 id="once">Give this to {name}: it is shown once</h2>
        <p>
          <code class="secret">{new URL(login_link, context.url).href}</code>
        </p>
        <p>
          It sets a new password, once, until <Time at={ends_at} />. Links made before are good no more.
        </p>
      </section>
      <p>
        <a class="button" href={href}>
          Back to {name}
        </a>
      </p>
    </Layout>,
  );
}
