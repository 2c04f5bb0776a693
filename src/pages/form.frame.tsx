import type { Child } from 'hono/jsx';
import { idOf } from './form.values.ts';

export interface FrameProps {
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
          Saved now: <b>{now === '' ? 'nothing' : now}</b>
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
