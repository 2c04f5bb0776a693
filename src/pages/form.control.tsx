import type { Field, Model } from '../db/catalog.ts';
import { aria } from './form.frame.tsx';
import { current, defaultOf, idOf, jsonOf, type Errors, type Scope } from './form.values.ts';
import { newHref } from './link.ts';
import type { FormView } from './types.ts';
import { nounOf } from './words.ts';

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

/** The one input of a field: a choice, a reference, a text. */
export const Control = ({
  model,
  field,
  scope,
  view,
  name,
  required,
  faults,
  target,
}: FieldProps & { name: string; required: boolean; faults: readonly string[] }) => {
  const creating = view.row === undefined;
  const value = current(field, scope);
  const common = { name, required: required && scope.prefix === '', ...aria(name, faults) };
  const usual = creating || scope.row === undefined ? defaultOf(model, field) : undefined;
  if (field.choices) {
    const known = field.choices.map((one) => ({ key: one, label: one }));
    return (
      <Select
        common={common}
        value={value}
        options={known}
        empty={
          required && scope.row
            ? undefined
            : required
              ? 'choose…'
              : usual !== undefined
                ? `default: ${usual}`
                : field.nullable || !scope.row
                  ? 'none'
                  : undefined
        }
      />
    );
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
      const only = required && creating && options.length === 1 && scope.entered?.[field.name] === undefined ? options[0]!.key : value;
      const filled = model.resource.optional?.includes(field.name) && creating;
      return (
        <Select
          common={common}
          value={only}
          options={options}
          empty={required ? (value === '' ? 'choose…' : undefined) : filled ? 'picked by Corral' : field.nullable ? 'none' : creating ? 'default' : undefined}
        />
      );
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
      <textarea
        {...common}
        class={field.type === 'object' ? 'code' : undefined}
        rows={Math.min(16, Math.max(field.type === 'object' ? 3 : 2, value.split('\n').length))}
        spellcheck={field.type !== 'object'}
      >
        {value.startsWith('\n') ? `\n${value}` : value}
      </textarea>
    );
  }
  return (
    <input
      type="text"
      {...common}
      value={value}
      placeholder={usual}
      inputmode={field.type === 'integer' && field.unit === undefined ? 'numeric' : undefined}
      autocomplete="off"
      spellcheck={false}
    />
  );
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
