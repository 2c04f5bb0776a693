import type { Child } from 'hono/jsx';
import { Control, type FieldProps } from './form.control.tsx';
import { aria, Frame, type FrameProps } from './form.frame.tsx';
import { current, currentItems, defaultOf, idOf, jsonOf, textOf, ticked } from './form.values.ts';
import { helpOf, labelOf } from './words.ts';

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
const Ordered = ({
  model,
  field,
  scope,
  view,
  frame,
  help,
  choices,
  most,
}: FieldProps & { frame: Omit<FrameProps, 'help'>; help: Child; choices: readonly string[]; most: number }) => {
  const items = currentItems(field, scope);
  const usual = view.row === undefined ? defaultOf(model, field) : undefined;
  return (
    <Frame
      {...frame}
      group
      help={
        usual === undefined ? (
          help
        ) : (
          <>
            {help} When empty: {usual}.
          </>
        )
      }
    >
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
