import type { Model } from '../db/catalog.ts';
import { byArea, Layout, render } from './layout.tsx';
import { canCreate, documentHref, envelopes, keyHref, listHref, newHref } from './link.ts';
import type { PageContext } from './types.ts';
import { Badge } from './value.tsx';
import { count, nounOf, pluralOf } from './words.ts';

type Counts = Readonly<Record<string, number>>;

/** What a fleet needs first, in order. */
const firstSteps = ['site', 'node', 'network', 'subnet', 'storage_pool', 'pool_attachment', 'vm'];

const Steps = ({ context, counts }: { context: PageContext; counts: Counts }) => {
  const models = firstSteps.flatMap((noun) => context.catalog.models.find((model) => model.resource.noun === noun && canCreate(model)) ?? []);
  if (models.every((model) => (counts[model.resource.noun] ?? 0) > 0)) return null;
  return (
    <section class="panel" aria-labelledby="steps">
      <h2 id="steps">First steps</h2>
      <p>Make these in order; what is there already is ticked off.</p>
      <ol class="steps">
        {models.map((model) => {
          const done = (counts[model.resource.noun] ?? 0) > 0;
          return (
            <li class={done ? 'done' : undefined}>
              <a href={done ? listHref(model) : newHref(model)}>{done ? pluralOf(model) : `Make the first ${nounOf(model)}`}</a>
              {done ? <span class="muted"> there</span> : null}
              <p class="help">{model.resource.summary}</p>
            </li>
          );
        })}
      </ol>
    </section>
  );
};

const Card = ({ model, n }: { model: Model; n: number }) => (
  <li>
    <a class="card" href={listHref(model)}>
      <b>{count(n)}</b> <span>{n === 1 ? model.resource.title : pluralOf(model)}</span>
    </a>
  </li>
);

/** How the hosts are, each state with its list. */
const Statuses = ({ context, statuses }: { context: PageContext; statuses: Counts }) => {
  const states = Object.entries(statuses);
  if (states.length === 0) return null;
  const list = listHref(context.catalog.byNoun('node'));
  return (
    <section class="panel" aria-labelledby="hosts">
      <h2 id="hosts">Hosts</h2>
      <p class="links">
        {states.map(([status, n]) => (
          <a href={`${list}?status=${status}`}>
            {count(n)} <Badge state={status} />
          </a>
        ))}
      </p>
    </section>
  );
};

/** The commands that fetch a document; a token in a variable, so that none stands in a history. */
const Commands = ({ context, node }: { context: PageContext; node: string | undefined }) => {
  const base = context.url.origin;
  const name = node ?? 'hv1.example.com';
  const get = (path: string): string => `curl -sH "Authorization: Bearer $CORRAL_TOKEN" ${base}${path}`;
  return (
    <section class="panel" aria-labelledby="commands">
      <h2 id="commands">Fetch a document</h2>
      {node === undefined ? (
        <p>Once there is a node, these fetch its documents ({name} stands for its name):</p>
      ) : (
        <p>What the hosts read. Put a token in $CORRAL_TOKEN, and paste:</p>
      )}
      <pre class="commands">
        {[get(documentHref('enc', name)), get(documentHref('hiera', name, 'yaml')), get(documentHref('pillar', name, 'yaml'))].join('\n')}
      </pre>
      {node === undefined ? null : (
        <p class="links">
          <span class="muted">Or read those of </span>
          <a href={keyHref(context.catalog.byNoun('node'), node)}>{node}</a> <span class="muted">here:</span>
          {Object.entries(envelopes).map(([envelope, text]) => (
            <a href={documentHref(envelope, node)}>{text}</a>
          ))}
        </p>
      )}
    </section>
  );
};

/** The first page: what there is. */
export function homePage(context: PageContext, counts: Counts, statuses: Counts, node?: string): string {
  return render(
    <Layout context={context} title="Corral">
      <h1>Overview</h1>
      <p class="summary">The source of truth for this fleet: change it here or through the API, and Puppet or Salt bring the hosts to it.</p>
      {context.identity?.rights.mayEverywhere('node:create') ? <Steps context={context} counts={counts} /> : null}
      <Statuses context={context} statuses={statuses} />
      <div class="areas">
        {byArea(context.catalog.models.filter((model) => model.resource.noun in counts)).map(([area, models], i) => (
          <section aria-labelledby={`area-${i}`}>
            <h2 id={`area-${i}`}>{area}</h2>
            <ul class="cards">
              {models.map((model) => (
                <Card model={model} n={counts[model.resource.noun] ?? 0} />
              ))}
            </ul>
          </section>
        ))}
      </div>
      <Commands context={context} node={node} />
      <section class="panel" aria-labelledby="more">
        <h2 id="more">More</h2>
        <ul>
          <li>
            <a href="/docs">API reference</a>: every noun, its fields and operations
          </li>
          <li>
            <a href="/docs#problems">Problem codes</a>: what the API's errors mean
          </li>
          <li>
            <a href="/openapi.json">OpenAPI 3.1</a>, for programs
          </li>
        </ul>
      </section>
    </Layout>,
  );
}
