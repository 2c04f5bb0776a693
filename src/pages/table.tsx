import type { Child } from 'hono/jsx';
import type { Catalog, Field, Model } from '../db/catalog.ts';
import type { Row } from '../db/read.ts';
import { isRecord } from '../kernel/codec.ts';
import { thingHref, titleOf } from './link.ts';
import { Cell, None } from './value.tsx';
import { labelOf, pluralOf } from './words.ts';

/** The column that links to the row itself: what people call it, else the part of its key that is its own. */
export function linkColumn(model: Model): string {
  const { columns, label, key } = model.resource;
  const own = [label, ...key.filter((name) => model.field.get(name)?.ref === undefined)].find((name) => name !== undefined && columns.includes(name));
  return own ?? (key.length === 1 ? key[0]! : 'id');
}

/** Columns of a noun's table, without `but`: the id leads where nothing else names the row. */
export function columnsOf(model: Model, but?: string): string[] {
  const columns = model.resource.columns.filter((name) => name !== but);
  const link = linkColumn(model);
  return columns.includes(link) ? columns : [link, ...columns];
}

export const isNumber = (field: Field | undefined): boolean => (field?.type === 'integer' || field?.type === 'number') && field.ref === undefined;

interface TableProps {
  readonly catalog: Catalog;
  readonly model: Model;
  readonly rows: readonly Row[];
  readonly caption: string;
  readonly columns: readonly string[];
  readonly headings?: Readonly<Record<string, { readonly sort: 'ascending' | 'descending' | 'none'; readonly href: string }>>;
  /** Relations that came with the rows, by name. */
  readonly included?: Readonly<Record<string, Model>>;
}

/** Rows of a noun. On a phone each row becomes a card; the roles keep it a table for screen readers. */
export const Table = ({ catalog, model, rows, caption, columns, headings = {}, included = {} }: TableProps) => {
  const link = linkColumn(model);
  const cell = (row: Row, name: string): Child => {
    if (name === link) return <a href={thingHref(model, row)}>{name === 'id' ? `#${String(row['id'])}` : nameIn(row[name])}</a>;
    return <Cell catalog={catalog} model={model} row={row} name={name} />;
  };
  const nameIn = (value: unknown): string => (isRecord(value) ? titleOf(model, value) : value === '' || value == null ? '(no name)' : String(value));
  return (
    <div class="table">
      <table role="table">
        <caption class="unseen">{caption}</caption>
        <thead role="rowgroup">
          <tr role="row">
            {columns.map((name) => (
              <Heading name={name} number={isNumber(model.field.get(name))} sort={headings[name]} />
            ))}
            {Object.values(included).map((other) => (
              <th role="columnheader" scope="col">
                {pluralOf(other)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {rows.map((row) => (
            <tr role="row">
              {columns.map((name) => (
                <td
                  role="cell"
                  data-label={labelOf(name)}
                  class={[isNumber(model.field.get(name)) ? 'number' : '', name === link ? 'first' : ''].join(' ').trim() || undefined}
                >
                  {cell(row, name)}
                </td>
              ))}
              {Object.entries(included).map(([name, other]) => (
                <td role="cell" data-label={pluralOf(other)}>
                  <Included model={other} rows={row[name]} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
};

const Heading = ({ name, number, sort }: { name: string; number: boolean; sort: { readonly sort: string; readonly href: string } | undefined }) => (
  <th role="columnheader" scope="col" class={number ? 'number' : undefined} aria-sort={sort && sort.sort !== 'none' ? sort.sort : undefined}>
    {sort ? <a href={sort.href}>{labelOf(name)}</a> : labelOf(name)}
  </th>
);

/** Rows of a relation in one cell. */
const Included = ({ model, rows }: { model: Model; rows: unknown }) => {
  const list = Array.isArray(rows) ? rows.filter(isRecord) : [];
  if (list.length === 0) return <None />;
  const own = model.resource.key.findLast((name) => model.field.has(name))!;
  return (
    <>
      {list.map((row, i) => (
        <>
          {i > 0 ? ', ' : ''}
          <a href={thingHref(model, row)}>{String(row[own])}</a>
        </>
      ))}
    </>
  );
};
