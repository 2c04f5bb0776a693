import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';
import type { Fault } from '../../kernel/problem.ts';
import { pointer } from '../../kernel/problem.ts';
import type { Values } from './types.ts';

/** Faults that are told of one document. */
const MAX_FAULTS = 50;

/**
 * Checks values against a JSON Schema, draft 2020-12. A schema that is itself wrong, misspells a word or refers to
 * another document is a fault at /schema. `format` is an annotation, as the draft has it.
 * @returns places in `values`; none: they satisfy it
 */
export function checkSchema(schema: Values, values: Values): { readonly schema?: Fault; readonly faults: readonly Fault[] } {
  /* One for each check: it keeps every schema that it has seen. */
  const ajv = new Ajv2020({
    allErrors: true,
    strict: true,
    strictTypes: false,
    strictRequired: false,
    validateFormats: false,
    logger: false,
    ownProperties: true,
  });
  let validate;
  try {
    validate = ajv.compile(schema);
  } catch (error) {
    const at = ajv.errors?.[0];
    const message = at
      ? `is not a JSON Schema: ${at.instancePath || '/'} ${at.message ?? ''}`
      : (error instanceof Error ? error.message : 'is not a JSON Schema').slice(0, 300);
    return { schema: { pointer: `/schema${at?.instancePath ?? ''}`, message }, faults: [] };
  }
  if (validate(values)) return { faults: [] };
  return { faults: (validate.errors ?? []).slice(0, MAX_FAULTS).map(faultOf) };
}

function faultOf({ instancePath, keyword, params, message = 'is not valid' }: ErrorObject): Fault {
  const extra =
    keyword === 'additionalProperties' || keyword === 'unevaluatedProperties'
      ? ((params as Record<string, unknown>)[`${keyword.replace('Properties', '')}Property`] as string)
      : undefined;
  if (extra !== undefined) return { pointer: instancePath + pointer([extra]), message: 'is not allowed by the schema' };
  if (keyword === 'enum')
    return { pointer: instancePath, message: `must be one of ${JSON.stringify((params as { allowedValues: unknown }).allowedValues).slice(0, 300)}` };
  if (keyword === 'required')
    return { pointer: instancePath + pointer([(params as { missingProperty: string }).missingProperty]), message: 'is needed by the schema' };
  return { pointer: instancePath, message };
}
