import type { Child } from 'hono/jsx';
import type { Field, Model } from '../db/catalog.ts';
import { current, currentItems, defaultOf, idOf, jsonOf, textOf, ticked, type Errors, type Scope } from './form.values.ts';
import { newHref } from './link.ts';
import type { FormView } from './types.ts';
import { helpOf, labelOf, nounOf } from './words.ts';

/** References with more choices than these are typed, with suggestions. */
const SELECT = 60;

export interface FieldProps {
  readonly model: Model;
  readonly field: Field;
  readonly scope: Scope;
  readonly view: FormView;
  readonly errors: Errors;
  readonly target: Model | undefined;
}

interface FrameProps {
  readonly name: string;
  readonly label: string;
  readonly required: boolean;
  readonly errors: readonly string[];
  readonly help: Child;
  readonly now?: string | undefined;
  /** A group of inputs rather than one. */
  readonly group?: boolean;
  readonly children?: Child;
}

/** What an input says of itself to screen readers. */
export function aria(name: string, errors: readonly string[]) {
  const id = idOf(name);
  return { id, 'aria-describedby': `${errors.length > 0 ? `${id}-error ` : ''}${id}-help`, 'aria-invalid': errors.length > 0 ? 'true' : undefined };
}

/** Label, input, errors and help of one field. */
export const Frame = ({ name, label, required, errors, help, now, group = false, children }: FrameProps) => {
  const id = idOf(name);
  const text = (
    <>
      {label}
      {required ? <span class="required"> required</span> : ''}
    </>
  );
  const below = (
    <>
      {errors.length > 0 ? (
        <p class="error" id={`${id}-error`}>
          {errors.join('; ')}
        </p>
      ) : null}
      {now === undefined ? null : (
        <p class="now">
          Saved meanwhile: <b>{now === '' ? 'nothing' : now}</b>
        </p>
      )}
      <p class="help" id={`${id}-help`}>
        {help}
      </p>
    </>
  );
  const kind = `field${errors.length > 0 ? ' bad' : ''}`;
  if (group) {
    return (
      <fieldset class={kind} id={id} tabindex={-1} aria-describedby={aria(name, errors)['aria-describedby']}>
        <legend>{text}</legend>
        {children}
        {below}
      </fieldset>
    );
  }
  return (
    <div class={kind}>
      <label for={id}>{text}</label>
      {children}
      {below}
    </div>
  );
};

/** The input of a field, by its type. */
export const FieldInput = (props: FieldProps) => {
  const { model, field, scope, view, errors, target } = props;
  const name = scope.prefix + field.name;
  const creating = view.row === undefined;
  const faults = errors.get(name) ?? [];
  const stale = view.problem?.code === 'stale-version' && scope.row !== undefined && field.type !== 'boolean';
  const saved = textOf(field, scope.row?.[field.name]);
  const now = stale && !field.writeOnly && saved !== current(field, scope) ? saved : undefined;
  const required = field.required || (field.list !== undefined && !model.resource.optional?.includes(field.name));
  const frame = { name, label: labelOf(field.name), required, errors: faults, now };
  const help = (
    <>
      {helpOf(field)}
      {field.unit === 'bytes' ? ' For example 10 GiB, 512 MiB, or bytes.' : ''}
      {field.writeOnly && !creating ? ' Leave empty to keep the one there is.' : ''}
    </>
  );
  if (field.type === 'boolean') {
    return (
      <div class={`field tick${faults.length > 0 ? ' bad' : ''}`}>
        <input type="hidden" name={name} value="false" />
        <input type="checkbox" name={name} value="true" checked={ticked(model, field, scope)} {...aria(name, faults)} />
        <label for={idOf(name)}>{frame.label}</label>
        {faults.length > 0 ? (
          <p class="error" id={`${idOf(name)}-error`}>
            {faults.join('; ')}
          </p>
        ) : null}
        <p class="help" id={`${idOf(name)}-help`}>
          {help}
        </p>
      </div>
    );
  }
  if (field.type === 'array' && field.choices) {
    const on = new Set(currentItems(field, scope));
    return (
      <Frame {...frame} group help={help}>
        <input type="hidden" name={name} value="" />
        <div class="ticks">
          {field.choices.map((choice, i) => (
            <span class="tick">
              <input type="checkbox" name={name} value={choice} checked={on.has(choice)} id={`${idOf(name)}-${i}`} />
              <label for={`${idOf(name)}-${i}`}>{choice}</label>
            </span>
          ))}
        </div>
      </Frame>
    );
  }
  const items = field.type === 'array' ? jsonOf(field.schema) : undefined;
  if (items?.items?.enum) return <Ordered {...props} frame={frame} help={help} choices={items.items.enum} most={items.maxItems ?? 4} />;
  return (
    <Frame {...frame} help={field.type === 'array' ? <>{help} Several with commas between.</> : help}>
      <Control {...props} name={name} required={required} faults={faults} target={target} />
    </Frame>
  );
};

/** A list whose order counts: a choice for each place. */
const Ordered = ({ model, field, scope, view, frame, help, choices, most }: FieldProps & { frame: Omit<FrameProps, 'help'>; help: Child; choices: readonly string[]; most: number }) => {
  const items = currentItems(field, scope);
  const usual = view.row === undefined ? defaultOf(model, field) : undefined;
  return (
    <Frame {...frame} group help={usual === undefined ? help : <>{help} When empty: {usual}.</>}>
      <div class="ordered">
        {Array.from({ length: Math.max(most, items.length) }, (_, i) => (
          <select name={frame.name} aria-label={`${frame.label}, place ${i + 1}`}>
            <option value="">–</option>
            {choices.map((choice) => (
              <option value={choice} selected={items[i] === choice}>
                {choice}
              </option>
            ))}
          </select>
        ))}
      </div>
    </Frame>
  );
};

const Control = ({ model, field, scope, view, name, required, faults, target }: FieldProps & { name: string; required: boolean; faults: readonly string[] }) => {
  const creating = view.row === undefined;
  const value = current(field, scope);
  const common = { name, required: required && scope.prefix === '', ...aria(name, faults) };
  const usual = creating || scope.row === undefined ? defaultOf(model, field) : undefined;
  if (field.choices) {
    const known = field.choices.map((one) => ({ key: one, label: one }));
    return <Select common={common} value={value} options={known} empty={required && scope.row ? undefined : required ? 'choose…' : usual !== undefined ? `default: ${usual}` : field.nullable || !scope.row ? 'none' : undefined} />;
  }
  if (field.ref !== undefined && target) {
    const options = view.options[field.ref];
    if (options && options.length === 0 && value === '') {
      return (
        <>
          <input type="text" {...common} value="" autocomplete="off" />
          <p class="hint">
            There is no {nounOf(target)} yet: <a href={newHref(target)}>make one first</a>.
          </p>
        </>
      );
    }
    if (options && options.length <= SELECT) {
      const only = required && creating && options.length === 1 && scope.entered === undefined ? options[0]!.key : value;
      const filled = model.resource.optional?.includes(field.name) && creating;
      return <Select common={common} value={only} options={options} empty={required ? (value === '' ? 'choose…' : undefined) : filled ? 'picked by Corral' : field.nullable ? 'none' : creating ? 'default' : undefined} />;
    }
    return (
      <>
        <input type="text" {...common} value={value} list={options ? `${idOf(name)}-list` : undefined} autocomplete="off" spellcheck={false} />
        {options ? (
          <datalist id={`${idOf(name)}-list`}>
            {options.map((one) => (
              <option value={one.key}>{one.label}</option>
            ))}
          </datalist>
        ) : null}
      </>
    );
  }
  if (field.writeOnly) return <input type="password" {...common} value="" autocomplete="new-password" />;
  const long = field.type === 'object' || (field.type === 'string' && (value.includes('\n') || (jsonOf(field.schema).maxLength ?? 0) > 500));
  if (long) {
    /* A parser drops a newline right after the tag. */
    return (
      <textarea {...common} class={field.type === 'object' ? 'code' : undefined} rows={Math.min(16, Math.max(field.type === 'object' ? 3 : 2, value.split('\n').length))} spellcheck={field.type !== 'object'}>
        {value.startsWith('\n') ? `\n${value}` : value}
      </textarea>
    );
  }
  return <input type="text" {...common} value={value} placeholder={usual} inputmode={field.type === 'integer' && field.unit === undefined ? 'numeric' : undefined} autocomplete="off" spellcheck={false} />;
};

interface SelectProps {
  readonly common: ReturnType<typeof aria> & { readonly name: string; readonly required: boolean };
  readonly value: string;
  readonly options: readonly { readonly key: string; readonly label: string }[];
  /** What choosing nothing means; undefined: something must be chosen. */
  readonly empty: string | undefined;
}

export const Select = ({ common, value, options, empty }: SelectProps) => (
  <select {...common}>
    {empty === undefined ? null : <option value="">{empty}</option>}
    {value === '' || options.some((one) => one.key === value) ? null : (
      <option value={value} selected>
        {value}
      </option>
    )}
    {options.map((one) => (
      <option value={one.key} selected={one.key === value}>
        {one.label}
      </option>
    ))}
  </select>
);
