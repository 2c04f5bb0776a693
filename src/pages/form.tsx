import type { z } from 'zod';
import type { Catalog, Field, Model } from '../db/catalog.ts';
import { isRecord } from '../kernel/codec.ts';
import { Select } from './form.control.tsx';
import { FieldInput } from './form.field.tsx';
import { aria, Frame } from './form.frame.tsx';
import { idOf, jsonOf, placeFaults, type Errors, type Scope } from './form.values.ts';
import { Crumbs, Layout, render } from './layout.tsx';
import { editHref, listHref, nameOf, thingHref, titleOf } from './link.ts';
import type { FormView, PageContext } from './types.ts';
import { Value } from './value.tsx';
import { article, helpOf, labelOf, nounOf, pluralOf } from './words.ts';

/** A form for a new thing asks for what is needed, and folds the rest away when it is more than this. */
const FOLD = 5;

interface PartsProps {
  readonly catalog: Catalog;
  readonly view: FormView;
  readonly errors: Errors;
}

const Inputs = ({ catalog, model, fields, scope, view, errors }: PartsProps & { model: Model; fields: readonly Field[]; scope: Scope }) => (
  <>
    {fields.map((field) => (
      <FieldInput
        model={model}
        field={field}
        scope={scope}
        view={view}
        errors={errors}
        target={field.ref === undefined ? undefined : catalog.byNoun(field.ref)}
      />
    ))}
  </>
);

/** The roles of a node: each may be there or not. */
const Parts = ({ catalog, view, errors }: PartsProps) => {
  const { model, values, row } = view;
  return (
    <>
      {Object.entries(model.parts).map(([group, parts]) => {
        const faults = errors.get(group) ?? [];
        const enteredGroup = values?.[group];
        const savedGroup = row?.[group];
        return (
          <fieldset
            class={`group${faults.length > 0 ? ' bad' : ''}`}
            id={idOf(group)}
            tabindex={-1}
            aria-describedby={faults.length > 0 ? `${idOf(group)}-error` : undefined}
          >
            <legend>{labelOf(group)}</legend>
            {faults.length > 0 ? (
              <p class="error" id={`${idOf(group)}-error`}>
                {faults.join('; ')}
              </p>
            ) : null}
            {Object.entries(parts).map(([name, part]) => {
              const entered = isRecord(enteredGroup) ? enteredGroup[name] : undefined;
              const saved = isRecord(savedGroup) ? savedGroup[name] : undefined;
              const on = values ? isRecord(entered) && entered['_on'] !== undefined : isRecord(saved);
              const prefix = `${group}.${name}.`;
              const scope: Scope = { prefix, entered: isRecord(entered) ? entered : undefined, row: isRecord(saved) ? saved : undefined };
              const id = idOf(`${group}.${name}`);
              return (
                <div class="part">
                  <div class="tick switch">
                    {isRecord(saved) ? <input type="hidden" name={`${prefix}_was`} value="true" /> : null}
                    <input type="checkbox" name={`${prefix}_on`} value="true" checked={on} id={id} aria-describedby={`${id}-help`} />
                    <label for={id}>{part.resource.title}</label>
                    <p class="help" id={`${id}-help`}>
                      {part.resource.summary}
                    </p>
                    {(errors.get(`${group}.${name}`) ?? []).map((message) => (
                      <p class="error">{message}</p>
                    ))}
                  </div>
                  <div class="part-fields" role="group" aria-label={part.resource.title}>
                    <Inputs
                      catalog={catalog}
                      model={part}
                      fields={part.fields.filter((field) => !field.readOnly && field.name !== part.resource.key[0])}
                      scope={scope}
                      view={view}
                      errors={errors}
                    />
                  </div>
                </div>
              );
            })}
          </fieldset>
        );
      })}
    </>
  );
};

/** What a creation takes beside the fields. */
const Extra = ({ name, schema, view, errors }: { name: string; schema: z.ZodType; view: FormView; errors: Errors }) => {
  const faults = errors.get(name) ?? [];
  const json = jsonOf(schema);
  const given = view.values?.[name];
  const value = typeof given === 'string' ? given : given === undefined ? '' : JSON.stringify(given, null, 2);
  const common = { name, required: false, ...aria(name, faults) };
  const members = Object.keys(json.items?.properties ?? {});
  const help = `${schema.description ?? ''}${members.length > 0 ? ` A JSON list of objects with any of: ${members.join(', ')}; for example [{}, {}] for two.` : ''}`;
  return (
    <Frame name={name} label={labelOf(name)} required={false} errors={faults} help={help}>
      {json.enum ? (
        <Select common={common} value={value} options={json.enum.map((one) => ({ key: one, label: one.replaceAll('_', ' ') }))} empty="default" />
      ) : (
        <textarea {...common} class="code" rows={3} spellcheck={false}>
          {value}
        </textarea>
      )}
    </Frame>
  );
};

/** What was refused, with links to the places. */
const Summary = ({ view, errors }: { view: FormView; errors: Errors }) => {
  const { problem, model, row } = view;
  if (!problem) return null;
  const loose = errors.get('') ?? [];
  const placed = [...errors].filter(([name]) => name !== '');
  const stale = problem.code === 'stale-version';
  return (
    <div class="errors" role="alert" tabindex={-1} autofocus>
      <h2>{problem.title}</h2>
      {errors.size === 0 && !stale ? <p>{problem.detail}</p> : null}
      {stale && row ? (
        <p>
          Somebody else changed it after you opened this form, and nothing was overwritten. Your values are below, with what is saved now beside those that
          differ. Save again to put yours in its place, or <a href={editHref(model, row)}>start again from what is saved</a>.
        </p>
      ) : null}
      {errors.size > 0 ? (
        <ul>
          {placed.flatMap(([name, messages]) =>
            messages.map((message) => (
              <li>
                <a href={`#${idOf(name)}`}>{name.split('.').slice(-1).map(labelOf).join('')}</a>: {message}
              </li>
            )),
          )}
          {loose.map((message) => (
            <li>{message}</li>
          ))}
        </ul>
      ) : null}
    </div>
  );
};

/** The form that makes or changes a thing. */
export function formPage(context: PageContext, view: FormView): string {
  const { model, row, values } = view;
  const { catalog } = context;
  const errors = placeFaults(view);
  const noun = nounOf(model);
  const title = row ? `Change ${titleOf(model, row)}` : `New ${noun}`;
  const fixed = row ? model.fields.filter((field) => field.immutable) : [];
  const writable = model.fields.filter((field) => !field.readOnly && !fixed.includes(field));
  const needed = writable.filter((field) => field.required || field.list || field.name === model.resource.label);
  /* What is typed before what is chosen; the label, which may be left out, at the end. */
  const rank = (field: Field): number => (field.required ? (field.choices ? 1 : 0) : 2);
  const first = [...needed].sort((a, b) => rank(a) - rank(b));
  const rest = writable.filter((field) => !needed.includes(field));
  const extras = row ? [] : Object.entries(model.resource.extras ?? {});
  const folds = !row && rest.length > FOLD;
  const touched = (name: string): boolean => errors.has(name) || (typeof values?.[name] === 'string' && values[name] !== '' && values[name] !== 'false');
  const scope: Scope = { prefix: '', entered: values, row };
  const common = { catalog, view, errors };
  const action = row ? `/api/v1/${model.route}/${encodeURIComponent(String(row['id'] ?? nameOf(model, row)))}` : listHref(model);
  /* After a refusal for age the next attempt is made on what is shown now. */
  const etag = view.problem?.code === 'stale-version' && row ? `"${String(row['version'])}.form"` : view.etag;
  const inputs = (fields: readonly Field[]) => <Inputs {...common} model={model} fields={fields} scope={scope} />;
  const advanced =
    extras.length > 0 ? (
      <details class="fold" open={extras.some(([name]) => touched(name))}>
        <summary>{extras.map(([name]) => labelOf(name)).join(', ')}</summary>
        {extras.map(([name, schema]) => (
          <Extra name={name} schema={schema} view={view} errors={errors} />
        ))}
      </details>
    ) : null;
  const steps: [string, string][] = [[listHref(model), pluralOf(model)], ...(row ? [[thingHref(model, row), titleOf(model, row)] as [string, string]] : [])];
  return render(
    <Layout context={context} title={`${view.problem ? 'Refused: ' : ''}${title}`} model={model}>
      <Crumbs steps={steps} />
      <h1>{title}</h1>
      {row ? null : <p class="summary">{model.resource.summary}</p>}
      <Summary view={view} errors={errors} />
      <form class="edit" method="post" action={action}>
        {row ? <input type="hidden" name="_method" value="PATCH" /> : null}
        {row && etag !== undefined ? <input type="hidden" name="_etag" value={etag} /> : null}
        {fixed.length > 0 && row ? (
          <dl class="fixed">
            {fixed.map((field) => (
              <div id={idOf(field.name)}>
                <dt>{labelOf(field.name)}</dt>
                <dd>
                  <Value catalog={catalog} field={field} value={row[field.name]} />
                  {(errors.get(field.name) ?? []).map((message) => (
                    <p class="error">{message}</p>
                  ))}
                </dd>
                <dd class="help">Cannot be changed. {helpOf(field)}</dd>
              </div>
            ))}
          </dl>
        ) : null}
        {inputs(row ? writable : first)}
        {row || folds ? null : inputs(rest)}
        <Parts {...common} />
        {folds ? (
          <details class="fold" open={rest.some((field) => touched(field.name)) || extras.some(([name]) => touched(name))}>
            <summary>{`More (${rest.length}): may be left as they are`}</summary>
            {inputs(rest)}
            {advanced}
          </details>
        ) : (
          advanced
        )}
        <div class="submit">
          <button class="primary" type="submit">
            {row ? 'Save' : `Make ${article(noun)} ${noun}`}
          </button>
          <button type="submit" formaction={`${action}?dry_run=true`}>
            Plan
          </button>
          <a href={row ? thingHref(model, row) : listHref(model)}>Cancel</a>
        </div>
      </form>
    </Layout>,
  );
}
