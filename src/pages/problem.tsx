import type { Standing } from '../changes/revert.stands.ts';
import type { ProblemDocument } from '../kernel/problem.ts';
import { Layout, render } from './layout.tsx';
import { changeHref, documentHref, listHref } from './link.ts';
import type { PageContext } from './types.ts';
import { Time } from './value.tsx';
import { nounOf, pluralOf } from './words.ts';

/** What a person can do about a problem, where its own sentence does not say. */
const advice: Partial<Record<ProblemDocument['code'], string>> = {
  'not-found': 'It may have been deleted or renamed. Look for it in the list.',
  'stale-version': 'Nothing was changed. Open it again to see what it is now, and repeat what you wanted.',
  'in-use': 'Nothing was changed. Its page shows what refers to it: change or delete that first.',
  forbidden: 'Log out, and log in with a token that may.',
  unavailable: 'Nothing was changed. Try again in a moment.',
  internal: 'Try again; if it stays, the log of Corral has more under the request id.',
  'bad-cursor': 'Start again from the first page of the list.',
  'unknown-parameter': 'Take it out of the address, or start again from the list.',
  gone: 'Set its state to something else to have its documents served again.',
};

/** The later changes that stand in the way of undoing one. */
const InTheWay = ({ changes }: { changes: unknown }) =>
  Array.isArray(changes) ? (
    <ul class="faults">
      {(changes as readonly Standing[]).map(({ number, at, actor, message, what }) => (
        <li>
          <a href={changeHref(number)}>Change {number}</a> by {actor} at <Time at={at} />
          {message === null ? null : `, “${message}”`}: {what.join('; ')}
        </li>
      ))}
    </ul>
  ) : null;

/** A refusal, where no form can show it. */
export function problemPage(context: PageContext, problem: ProblemDocument): string {
  const [, api, v1, route = '', key] = context.url.pathname.split('/');
  const model =
    api === 'api' && v1 === 'v1' ? context.catalog.byRoute(route.replace(/\.(?:html)$/, '')) : api === 'forms' ? context.catalog.byRoute(v1 ?? '') : undefined;
  const back: [string, string][] = [];
  if (model && key && problem.code !== 'not-found' && api === 'api') back.push([context.url.pathname, `Back to this ${nounOf(model)}`]);
  if (model && context.identity?.kind !== 'node') back.push([listHref(model), pluralOf(model)]);
  const node = context.identity?.node;
  if (node != null) back.push([documentHref('documents', node), `Documents of ${node}`]);
  else if (context.identity) back.push(['/', 'Overview']);
  else back.push(['/login', 'Log in']);
  return render(
    <Layout context={context} title={problem.title} model={model} bare={!context.identity || node != null}>
      <p class="status">
        {problem.status} <a href={`/docs#${problem.code}`}>{problem.code}</a>
      </p>
      <h1>{problem.title}</h1>
      <p class="detail">{problem.detail}</p>
      {problem.errors && problem.errors.length > 0 ? (
        <ul class="faults">
          {problem.errors.map((fault) => (
            <li>
              <code>{fault.pointer || '/'}</code> {fault.message}
            </li>
          ))}
        </ul>
      ) : null}
      <InTheWay changes={problem['changes']} />
      {advice[problem.code] === undefined ? null : <p>{advice[problem.code]}</p>}
      <p class="links">
        {back.map(([href, text]) => (
          <a class="button" href={href}>
            {text}
          </a>
        ))}
      </p>
    </Layout>,
  );
}
