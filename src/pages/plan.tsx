import type { ChangeRow } from '../db/changes.ts';
import type { Catalog, Model } from '../db/catalog.ts';
import type { PlannedDocument, PlannedHost } from '../db/plan.ts';
import { modelOf, opWords, RowFields } from './change.rows.tsx';
import { Crumbs, Layout, render } from './layout.tsx';
import { keyHref, listHref } from './link.ts';
import type { PageContext, PlanView } from './types.ts';
import { Badge } from './value.tsx';
import { count, labelOf, nounOf, pluralOf } from './words.ts';

/** A plan with more is shown in part: all of it is in the JSON. */
const MOST = 100;

/** One row before and after. What is yet to be made has no page. */
const PlanRow = ({ catalog, row }: { catalog: Catalog; row: ChangeRow }) => {
  const model = modelOf(catalog, row.noun);
  const name = row.label === undefined ? row.key : `${row.label} (${row.key})`;
  return (
    <article class="row-change">
      <h3>
        <Badge state={opWords[row.op]} /> <span class="muted">{model ? nounOf(model) : row.noun.replaceAll('_', ' ')}</span>{' '}
        <b>{model && row.op !== 'create' && row.id !== null ? <a href={keyHref(model, String(row.id))}>{name}</a> : name}</b>
      </h3>
      <RowFields catalog={catalog} row={row} />
    </article>
  );
};

const Lines = ({ title, lines }: { title: string; lines: readonly string[] }) =>
  lines.length === 0 ? null : (
    <>
      <h4>{title}</h4>
      <ul>
        {lines.map((line) => (
          <li>{line}</li>
        ))}
      </ul>
    </>
  );

const Host = ({ catalog, host }: { catalog: Catalog; host: PlannedHost }) => (
  <section class="panel">
    <h3>
      <a href={keyHref(catalog.byNoun('node'), host.node)}>{host.node}</a> <span class="muted">{host.manager}</span>
    </h3>
    {host.acts ? null : <p class="muted">Does not act: {host.why}.</p>}
    {host.acts && host.live.length + host.restart.length === 0 ? <p class="muted">Runs, and has nothing to change.</p> : null}
    <Lines title="At once" lines={host.live} />
    <Lines title="At the next start" lines={host.restart} />
  </section>
);

/** A unified difference: colours repeat what the signs say. */
export const DifferenceText = ({ text }: { text: string }) => (
  <pre class="difference" aria-label="Unified difference" tabindex={0}>
    {text.split(/(?<=\n)/).map((line) => {
      if (line.startsWith('@@') || line.startsWith('--- ') || line.startsWith('+++ ')) return <span class="place">{line}</span>;
      return line.startsWith('+') ? <ins>{line}</ins> : line.startsWith('-') ? <del>{line}</del> : line;
    })}
  </pre>
);

const PlanDocument = ({ document: { node, before, after, text: lines }, open }: { document: PlannedDocument; open: boolean }) => (
  <details class="planned" open={open}>
    <summary>
      <b>{node}</b> <code>{before ?? 'none'}</code> → <code>{after}</code>
    </summary>
    <DifferenceText text={lines} />
  </details>
);

/** The values of a form as inputs: `a.b` for what is inside of another. Secrets are asked for again. */
function inputs(model: Model | undefined, values: Readonly<Record<string, unknown>>, prefix = ''): { name: string; value: string; secret: boolean }[] {
  return Object.entries(values).flatMap(([key, value]) => {
    const name = prefix + key;
    if (name === '_plan' || name === '_message') return [];
    const secret = model?.field.get(name)?.writeOnly === true;
    if (Array.isArray(value)) return value.map((one) => ({ name, value: String(one), secret }));
    if (typeof value === 'object' && value !== null) return inputs(model, value as Record<string, unknown>, `${name}.`);
    return secret && value === '' ? [] : [{ name, value: String(value), secret }];
  });
}

const Agree = ({ again, digest }: { again: NonNullable<PlanView['again']>; digest: string }) => {
  const all = inputs(again.model, again.values);
  const back = again.back ?? (again.model && again.values['_method'] === undefined ? listHref(again.model) : again.action);
  return (
    <form class="edit agree" method="post" action={again.action}>
      {all.map(({ name, value, secret }) =>
        secret ? (
          <p>
            <label for={`again-${name}`}>{labelOf(name)}, once more</label>{' '}
            <input type="password" id={`again-${name}`} name={name} required autocomplete="off" />
          </p>
        ) : (
          <input type="hidden" name={name} value={value} />
        ),
      )}
      <input type="hidden" name="_plan" value={digest} />
      <p>
        <label for="why">Why (kept with the change)</label> <input id="why" name="_message" maxlength={500} autocomplete="off" />
      </p>
      <div class="submit">
        <button class="primary" type="submit">
          Do it
        </button>
        <a href={back}>Cancel</a>
      </div>
    </form>
  );
};

const More = ({ all, what }: { all: readonly unknown[]; what: string }) =>
  all.length > MOST ? (
    <p class="muted">
      These are the first {MOST} of {count(all.length)} {what}; all of them are in the JSON of the plan.
    </p>
  ) : null;

/** What a write would do. */
export function planPage(context: PageContext, { plan, problem, again }: PlanView): string {
  const { catalog } = context;
  const { rows, hosts, documents, digest } = plan;
  const model = again?.model;
  return render(
    <Layout context={context} title="Plan" model={model}>
      {model ? <Crumbs steps={[[listHref(model), pluralOf(model)]]} /> : null}
      <h1>Plan</h1>
      {problem ? (
        <div class="errors" role="alert" tabindex={-1} autofocus>
          <h2>{problem.title}</h2>
          <p>Something was written since you looked at the plan, and nothing of yours was. This is what it would do now.</p>
        </div>
      ) : (
        <p class="summary">Nothing is changed yet. This is what it would do.</p>
      )}
      <section aria-labelledby="plan-rows">
        <h2 id="plan-rows">
          Rows <span class="total">{count(rows.length)}</span>
        </h2>
        {rows.length === 0 ? <p class="muted">No row of desired state changes.</p> : null}
        {rows.slice(0, MOST).map((row) => (
          <PlanRow catalog={catalog} row={row} />
        ))}
        <More all={rows} what="rows" />
      </section>
      <section aria-labelledby="plan-hosts">
        <h2 id="plan-hosts">
          Hosts <span class="total">{count(hosts.length)}</span>
        </h2>
        {hosts.length === 0 ? <p class="muted">None acts: no document changes.</p> : null}
        {hosts.slice(0, MOST).map((host) => (
          <Host catalog={catalog} host={host} />
        ))}
        <More all={hosts} what="hosts" />
      </section>
      {documents.length === 0 ? null : (
        <section aria-labelledby="plan-documents">
          <h2 id="plan-documents">
            Documents <span class="total">{count(documents.length)}</span>
          </h2>
          {documents.slice(0, MOST).map((document) => (
            <PlanDocument document={document} open={documents.length <= 3} />
          ))}
          <More all={documents} what="documents" />
        </section>
      )}
      {again ? <Agree again={again} digest={digest} /> : null}
      <p class="muted">
        Digest of the effect: <code class="long">{digest}</code>
      </p>
    </Layout>,
  );
}
