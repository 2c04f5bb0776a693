import type { Catalog, Model } from '../db/catalog.ts';
import type { ChangeRow } from '../db/changes.ts';
import { isRecord } from '../kernel/codec.ts';
import { historyHref, keyHref } from './link.ts';
import { Badge, None, Value } from './value.tsx';
import { labelOf, nounOf } from './words.ts';

/** Rows of a change that are shown in full; the others are named. */
const FULL = 100;
/** With more fields than this a new or deleted thing is folded. */
const FOLD = 8;

export const opWords = { create: 'made', update: 'changed', delete: 'deleted' } as const;

export const modelOf = (catalog: Catalog, noun: string): Model | undefined => catalog.models.find((model) => model.resource.noun === noun);

/** What a row is called, with a link to it. */
export const ThingName = ({ catalog, thing }: { catalog: Catalog; thing: Pick<ChangeRow, 'noun' | 'id' | 'key' | 'label' | 'op'> }) => {
  const model = modelOf(catalog, thing.noun);
  const name = thing.label ?? thing.key;
  if (!model || thing.id === null) return <>{name}</>;
  /* What is gone has its history. */
  const href = thing.op === 'delete' ? historyHref(model, String(thing.id)) : keyHref(model, String(thing.id));
  return (
    <a href={href} title={name === thing.key ? undefined : thing.key}>
      {name}
    </a>
  );
};

/** One value of a field, as its noun shows it. */
export const Was = ({ catalog, model, name, value }: { catalog: Catalog; model: Model | undefined; name: string; value: unknown }) => {
  if (value === undefined || value === null) return <None />;
  const field = model?.field.get(name);
  if (field && !field.writeOnly && !(Array.isArray(value) && field.list === undefined && field.type !== 'array'))
    return <Value catalog={catalog} field={field} value={value} short />;
  return <span class="long">{typeof value === 'string' ? value : JSON.stringify(value)}</span>;
};

const long = (value: unknown): boolean => isRecord(value) && Object.keys(value).length > 0;

/** Field by field: before and after. Of a row that was made or deleted, what it held. */
export const RowFields = ({ catalog, row }: { catalog: Catalog; row: ChangeRow }) => {
  const model = modelOf(catalog, row.noun);
  const both = row.op === 'update';
  const values = row.after ?? row.before ?? {};
  const names = Object.keys(values).filter((name) => both || (values[name] !== null && values[name] !== undefined));
  const shown = (side: ChangeRow['before'], name: string) =>
    long(side?.[name]) ? (
      <pre class="json">{JSON.stringify(side?.[name], null, 2)}</pre>
    ) : (
      <Was catalog={catalog} model={model} name={name} value={side?.[name]} />
    );
  const table = (
    <div class="table">
      <table role="table">
        <caption class="unseen">
          Fields of {row.noun.replaceAll('_', ' ')} {row.label ?? row.key}
        </caption>
        <thead role="rowgroup">
          <tr role="row">
            <th role="columnheader" scope="col">
              Field
            </th>
            {both ? (
              <th role="columnheader" scope="col">
                Before
              </th>
            ) : null}
            <th role="columnheader" scope="col">
              {both ? 'After' : row.op === 'delete' ? 'Was' : 'Is'}
            </th>
          </tr>
        </thead>
        <tbody role="rowgroup">
          {names.map((name) => (
            <tr role="row">
              <th role="rowheader" scope="row" data-label="Field">
                {labelOf(name)}
              </th>
              {both ? (
                <td role="cell" data-label="Before" class="was">
                  {shown(row.before, name)}
                </td>
              ) : null}
              <td role="cell" data-label={both ? 'After' : row.op === 'delete' ? 'Was' : 'Is'} class={both ? 'is' : undefined}>
                {shown(row.after ?? row.before, name)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
  if (both || names.length <= FOLD) return table;
  return (
    <details>
      <summary>{names.length} fields</summary>
      {table}
    </details>
  );
};

/** The rows of a change, or of a plan, before and after. */
export const ChangedRows = ({ catalog, rows }: { catalog: Catalog; rows: readonly ChangeRow[] }) => (
  <>
    {rows.slice(0, FULL).map((row) => {
      const model = modelOf(catalog, row.noun);
      return (
        <article class="row-change">
          <h3>
            <Badge state={opWords[row.op]} /> <span class="muted">{model ? nounOf(model) : row.noun.replaceAll('_', ' ')}</span>{' '}
            <ThingName catalog={catalog} thing={row} /> {model && row.id !== null ? <a href={historyHref(model, String(row.id))}>History</a> : null}
          </h3>
          <RowFields catalog={catalog} row={row} />
        </article>
      );
    })}
    {rows.length > FULL ? (
      <details>
        <summary>{rows.length - FULL} more</summary>
        <ul class="names">
          {rows.slice(FULL, FULL + 1000).map((row) => (
            <li>
              {row.noun.replaceAll('_', ' ')} {row.label ?? row.key} {opWords[row.op]}
            </li>
          ))}
        </ul>
      </details>
    ) : null}
  </>
);
