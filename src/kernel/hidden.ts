import { inspect } from 'node:util';
import { z } from 'zod';

const SHOWN = '(hidden)';

/** Text that must not be shown: whatever prints it, JSON, a template or the console, gets a place holder. */
export class Hidden {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** The text itself, for the one who sends it on. */
  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return SHOWN;
  }

  toJSON(): string {
    return SHOWN;
  }

  [inspect.custom](): string {
    return SHOWN;
  }
}

/** A setting that is a secret, of some form. */
export const hiddenAs = (schema: z.ZodType<string>) => schema.transform((text) => new Hidden(text));

/** A setting that is a secret. */
export const hidden = hiddenAs(z.string().min(1).max(10_000));
