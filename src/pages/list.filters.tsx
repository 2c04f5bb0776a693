import type { Field, Model } from '../db/catalog.ts';
import { operatorMeanings, operatorsOf, type Operator } from '../db/query.ts';
import { withParams } from './link.ts';
import type { PageContext } from './types.ts';
import { labelOf } from './words.ts';

/** Parameters of a list that choose no rows. */
const view = new Set(['sort', 'limit', 'after', 'fields', 'include', 'total']);

interface Filter {
  readonly name: string;
  readonly label: string;
  readonly choices: readonly string[] | undefined;
}

/** What a search is in: the key, and the name where the key is none. */
function searched({ resource: { key, label } }: Model): string {
  const names = [...key, ...(label === undefined ? [] : [label])];
  return `${names.includes('name') || names.length > 1 ? 'Name' : labelOf(names[0]!)} contains`;
}

/** The filters that a person wants: what the columns show, as choices where there are some. */
function filtersOf(model: Model): Filter[] {
  const out: Filter[] = [{ name: 'q', label: searched(model), choices: undefined }];
  for (const name of model.resource.columns) {
    const field = model.field.get(name);
    if (!field || name === model.resource.label || operatorsOf(field).length === 0) continue;
    if (field.type === 'boolean') out.push({ name, label: labelOf(name), choices: ['true', 'false'] });
    else if (field.choices) out.push({ name, label: labelOf(name), choices: field.choices });
    else if (field.ref !== undefined || (model.resource.readOnly && operatorsOf(field).includes('__contains')))
      out.push({ name: `${name}__contains`, label: labelOf(name), choices: undefined });
  }
  return out.slice(0, 6);
}

/** The filters in a URL: those of the form, and any that a link has set. */
export const activeFilters = (url: URL): [string, string][] => [...url.searchParams].filter(([name, value]) => !view.has(name) && value !== '');

const spoken: Partial<Record<Operator, string>> = { __contains: 'contains', __null: 'is empty:', __in: 'is one of', __gte: 'is at least', __lte: 'is at most' };

function inWords(model: Model, name: string, value: string): string {
  if (name === 'q') return `${searched(model)} ${value}`;
  const match = /^(.+?)(__[a-z]+)?$/.exec(name);
  const operator = (match?.[2] ?? '') as Operator;
  const field: Field | undefined = model.field.get(match?.[1] ?? '');
  const text = field?.type === 'boolean' ? (value === 'true' ? 'yes' : 'no') : value;
  return `${labelOf(match?.[1] ?? name)} ${spoken[operator] ?? operatorMeanings[operator] ?? operator} ${text}`;
}

/** The form that narrows a list, and what narrows it now. */
export const Filters = ({ context, model }: { context: PageContext; model: Model }) => {
  const { url } = context;
  const active = activeFilters(url);
  const filters = filtersOf(model);
  const shown = new Set(filters.map((one) => one.name));
  const kept = [...url.searchParams].filter(([name, value]) => value !== '' && name !== 'after' && !shown.has(name));
  const [first, ...rest] = filters;
  const control = (filter: Filter) => {
    const value = url.searchParams.get(filter.name) ?? '';
    const id = `filter-${filter.name}`;
    return (
      <div class="filter">
        <label for={id}>{filter.label}</label>
        {filter.choices ? (
          <select id={id} name={filter.name}>
            <option value="">any</option>
            {filter.choices.map((choice) => (
              <option value={choice} selected={choice === value}>
                {choice === 'true' ? 'yes' : choice === 'false' ? 'no' : choice}
              </option>
            ))}
          </select>
        ) : (
          <input id={id} name={filter.name} type="search" value={value} autocomplete="off" />
        )}
      </div>
    );
  };
  return (
    <search class="filters">
      <form method="get" action={url.pathname}>
        {kept.map(([name, value]) => (
          <input type="hidden" name={name} value={value} />
        ))}
        {control(first!)}
        <button type="submit">Search</button>
        {rest.length > 0 ? (
          <details class="more" open={rest.some((one) => (url.searchParams.get(one.name) ?? '') !== '')}>
            <summary>Filters</summary>
            <div class="more-fields">
              {rest.map(control)}
              <button type="submit">Apply</button>
            </div>
          </details>
        ) : null}
      </form>
      {active.length > 0 ? (
        <ul class="chips" aria-label="Active filters">
          {active.map(([name, value]) => (
            <li>
              <a href={withParams(url, { [name]: undefined, after: undefined })} title="Remove this filter">
                <span class="unseen">Remove the filter </span>
                {inWords(model, name, value)} <span aria-hidden="true">×</span>
              </a>
            </li>
          ))}
          {active.length > 1 ? (
            <li>
              <a class="clear" href={url.pathname}>
                Remove all
              </a>
            </li>
          ) : null}
        </ul>
      ) : null}
    </search>
  );
};
