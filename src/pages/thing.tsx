import type { Field, Model } from '../db/catalog.ts';
import { reverseNames } from '../db/query.ts';
import { keyOf, type Row } from '../db/read.ts';
import { isRecord } from '../kernel/codec.ts';
import { ConvergencePanel } from './convergence.tsx';
import { Crumbs, Layout, render } from './layout.tsx';
import {
  canCreate,
  canDelete,
  canUpdate,
  documentHref,
  editHref,
  envelopes,
  explainHref,
  historyHref,
  isKept,
  keyHref,
  listHref,
  nameOf,
  newHref,
  thingAs,
  thingHref,
  titleOf,
} from './link.ts';
import { PersonPanel } from './people.tsx';
import { NodeStatusPanel, shownByPanel } from './node-status.tsx';
import { ReportPanels, shownByReport } from './report.tsx';
import { columnsOf, Table } from './table.tsx';
import type { PageContext, Related, ThingView } from './types.ts';
import { Badge, Time, Value } from './value.tsx';
import { EnrolmentActions } from './enrolment.tsx';
import { DeliveryActions } from './webhook-delivery.tsx';
import { count, helpOf, labelOf, nounOf, pluralOf } from './words.ts';

/** With more fields than this a page shows first those that lists show, and folds the others. */
const FOLD = 12;

interface FieldsProps {
  readonly context: PageContext;
  readonly fields: readonly Field[];
  readonly row: Row;
  readonly labels?: Readonly<Record<string, string>>;
}

/** Fields with their values and what they mean. */
const Fields = ({ context, fields, row, labels = {} }: FieldsProps) => (
  <dl class="fields">
    {fields.map((field) => (
      <div>
        <dt>{labelOf(field.name)}</dt>
        <dd>
          {field.writeOnly ? (
            <span class="muted">kept, and never shown</span>
          ) : (
            <Value catalog={context.catalog} field={field} value={row[field.name]} label={labels[field.name]} />
          )}
        </dd>
        <dd class="help">{helpOf(field)}</dd>
      </div>
    ))}
  </dl>
);

/** A role: its fields, and lists of what refers to it. */
const Part = ({ context, name, part, owner, row }: { context: PageContext; name: string; part: Model; owner: string; row: Row }) => {
  const ownField = part.resource.key[0]!;
  const key = nameOf(part, { ...row, [ownField]: owner });
  const href = keyHref(part, key);
  const others = part.reverse.map(
    ({ model, field }) => [`${listHref(model)}?${new URLSearchParams({ [field.name]: key }).toString()}`, pluralOf(model)] as const,
  );
  return (
    <section class="panel" aria-labelledby={`part-${name}`}>
      <h2 id={`part-${name}`}>
        <a href={href}>{part.resource.title}</a>
      </h2>
      {others.length > 0 ? (
        <p class="links">
          {others.map(([to, text]) => (
            <a href={to}>{text}</a>
          ))}
        </p>
      ) : null}
      <Fields context={context} fields={part.fields.filter((field) => field.name !== ownField)} row={row} />
    </section>
  );
};

const RelatedRows = ({ context, view, related }: { context: PageContext; view: ThingView; related: Related }) => {
  const { model, field, page } = related;
  const key = nameOf(view.model, view.row);
  const total = page.total ?? page.rows.length;
  const href = `${listHref(model)}?${new URLSearchParams({ [field.name]: key }).toString()}`;
  const id = `related-${model.route}-${field.name}`;
  const twice = view.related.filter((one) => one.model === model).length > 1;
  const first = page.rows[0] ?? {};
  const included = Object.fromEntries([...reverseNames(model)].flatMap(([name, one]) => (Array.isArray(first[name]) ? [[name, one.model]] : [])));
  return (
    <section class="related" aria-labelledby={id}>
      <div class="head">
        <h2 id={id}>
          <a href={href}>{pluralOf(model)}</a>
          {twice ? <span class="muted"> by {labelOf(field.name).toLowerCase()}</span> : null} <span class="total">{count(total)}</span>
        </h2>
        {canCreate(model) && context.identity?.rights.may(`${model.resource.noun}:create`) ? (
          <a class="button" href={newHref(model, { [field.name]: key })}>
            New<span class="unseen"> {nounOf(model)}</span>
          </a>
        ) : null}
      </div>
      {page.rows.length === 0 ? (
        <p class="muted">None.</p>
      ) : (
        <Table catalog={context.catalog} model={model} rows={page.rows} caption={pluralOf(model)} columns={columnsOf(model, field.name)} included={included} />
      )}
      {total > page.rows.length ? (
        <p>
          <a href={href}>All {count(total)}</a>
        </p>
      ) : null}
    </section>
  );
};

/** What is shown this once: a new token. */
const Once = ({ once, context, model }: { once: Readonly<Record<string, unknown>>; context: PageContext; model: Model }) => (
  <section class="once" role="alert" aria-labelledby="once">
    <h2 id="once">Copy this now: it is shown once</h2>
    <dl>
      {Object.entries(once).map(([name, value]) => (
        <div>
          <dt>{labelOf(name)}</dt>
          <dd>
            <code class="secret">
              {name === 'login_link' ? new URL(String(value), context.url).href : typeof value === 'string' ? value : JSON.stringify(value)}
            </code>
          </dd>
        </div>
      ))}
    </dl>
    {model.resource.noun === 'person' ? (
      <p>Give it to the person: it sets the password, once, within an hour. When it is lost, make a new one below.</p>
    ) : model.resource.noun === 'webhook' ? (
      <p>
        Give it to the receiver, which checks the signature of each delivery with it, as <a href="https://www.standardwebhooks.com">Standard Webhooks</a> has
        it. Corral does not show it again: when it is lost, set another with “Change”.
      </p>
    ) : (
      <p>Corral keeps only what it needs to recognise it, and cannot show it again. When it is lost, delete it and make another.</p>
    )}
  </section>
);

const Delete = ({ view, title }: { view: ThingView; title: string }) => {
  const { model, row, etag, related } = view;
  const attached = related.filter((one) => (one.page.total ?? 0) > 0);
  return (
    <details class="confirm">
      <summary class="button danger">Delete…</summary>
      <form method="post" action={thingHref(model, row)}>
        <input type="hidden" name="_method" value="DELETE" />
        <input type="hidden" name="_etag" value={etag} />
        <p>
          Delete the {nounOf(model)} <b>{title}</b>?{' '}
          {isKept(model) ? 'The change can be undone; what hosts have removed by then is lost.' : 'This cannot be undone.'}
        </p>
        {attached.length > 0 ? (
          <p class="muted">It is referred to by: {attached.map((one) => `${pluralOf(one.model)} (${count(one.page.total ?? 0)})`).join(', ')}.</p>
        ) : null}
        <button class="danger" type="submit">
          Delete {title}
        </button>{' '}
        <button type="submit" formaction={`${thingHref(model, row)}?dry_run=true`}>
          Plan
        </button>
      </form>
    </details>
  );
};

const Documents = ({ node }: { node: string }) => (
  <nav class="documents" aria-label="Documents of this node">
    <span class="muted">Documents</span>
    {Object.entries(envelopes).map(([envelope, text]) => (
      <a href={documentHref(envelope, node)}>{text}</a>
    ))}
    <a href={explainHref(node)}>Explain</a>
  </nav>
);

/** What pages of some nouns show in their own way, and the fields that they leave out for it. */
const own: Readonly<Record<string, ReadonlySet<string>>> = { node: shownByPanel, report: shownByReport };

/** What a thing is about, though no list shows it: seen where it holds anything. */
const matter: Readonly<Record<string, ReadonlySet<string>>> = { layer: new Set(['classes', 'parameters', 'data', 'merge', 'secret_keys']) };

/** The page of one thing, with all that it touches. */
export function thingPage(context: PageContext, view: ThingView): string {
  const { model, row, related, labels, once } = view;
  const title = titleOf(model, row);
  const may = (action: string): boolean => context.identity?.rights.may(`${model.resource.noun}:${action}`) === true;
  const parts = Object.entries(model.parts);
  const state = row['state'];
  const { columns, key, noun } = model.resource;
  const fields = model.fields.filter((field) => own[noun]?.has(field.name) !== true);
  const filled = (value: unknown): boolean => typeof value === 'object' && value !== null && Object.keys(value).length > 0;
  const shown = (field: Field): boolean =>
    fields.length <= FOLD || columns.includes(field.name) || key.includes(field.name) || (matter[noun]?.has(field.name) === true && filled(row[field.name]));
  return render(
    <Layout context={context} title={`${title} · ${model.resource.title}`} model={model}>
      <Crumbs steps={[[listHref(model), pluralOf(model)]]} />
      {once ? <Once once={once} context={context} model={model} /> : null}
      <div class="head">
        <h1>
          {title} {typeof state === 'string' ? <Badge state={state} /> : null}
        </h1>
        <div class="actions">
          {isKept(model) && context.identity?.rights.mayEverywhere('change:read') ? (
            <a class="button" href={historyHref(model, String(row['id']))}>
              History
            </a>
          ) : null}
          {noun === 'enrolment' && context.identity?.rights.mayEverywhere('enrolment:update') === true ? <EnrolmentActions model={model} row={row} /> : null}
          {noun === 'webhook_delivery' ? <DeliveryActions row={row} admin={context.identity?.rights.mayEverywhere('webhook:update') === true} /> : null}
          {may('update') && canUpdate(model) ? (
            <a class="button primary" href={editHref(model, row)}>
              Change
            </a>
          ) : null}
          {may('delete') && canDelete(model) ? <Delete view={view} title={title} /> : null}
        </div>
      </div>
      {noun === 'node' ? (
        <>
          <Documents node={keyOf(model, row)} />
          <NodeStatusPanel context={context} row={row} convergence={view.convergence} />
        </>
      ) : view.convergence ? (
        <ConvergencePanel context={context} convergence={view.convergence} />
      ) : null}
      <section class="panel" aria-label={`This ${nounOf(model)}`}>
        <Fields context={context} fields={fields.filter(shown)} row={row} labels={labels} />
        {fields.every(shown) ? null : (
          <details>
            <summary>More fields ({fields.filter((field) => !shown(field)).length})</summary>
            <Fields context={context} fields={fields.filter((field) => !shown(field))} row={row} labels={labels} />
          </details>
        )}
      </section>
      {noun === 'person' && context.identity?.rights.mayEverywhere('person:update') === true ? <PersonPanel row={row} /> : null}
      {noun === 'report' ? <ReportPanels row={row} /> : null}
      {parts.map(([name, inner]) =>
        Object.entries(inner).map(([part, partModel]) => {
          const has = isRecord(row[name]) ? row[name][part] : undefined;
          return isRecord(has) ? <Part context={context} name={part} part={partModel} owner={keyOf(model, row)} row={has} /> : null;
        }),
      )}
      {related.map((one) => (
        <RelatedRows context={context} view={view} related={one} />
      ))}
      <div class="foot">
        {row['created_at'] === undefined ? null : (
          <p class="muted">
            {model.pk === 'id' ? `#${String(row['id'])}, made ` : 'Made '}
            <Time at={String(row['created_at'])} />, last changed <Time at={String(row['updated_at'])} />, version {String(row['version'])}
          </p>
        )}
        <p class="muted formats">
          This {nounOf(model)} as <a href={thingAs(model, row, 'json')}>JSON</a> or <a href={thingAs(model, row, 'msgpack')}>MessagePack</a>
        </p>
      </div>
    </Layout>,
  );
}
