import { changeSchema } from './openapi.changes.ts';

type Json = Record<string, unknown>;

/** What every write of a noun may be asked beside its body. */
export const writeParameters: readonly Json[] = [
  {
    name: 'dry_run',
    in: 'query',
    schema: { type: 'boolean', default: false },
    description: 'Answer with 200 what the write would do, and do nothing. What would be refused is refused with the same problem.',
  },
  {
    name: 'If-Plan',
    in: 'header',
    schema: { type: 'string', pattern: '^sha256:[0-9a-f]{64}$' },
    description: 'The digest of a plan: the write is carried out only if its effect is still that one, else 409 plan-changed with the new plan in `plan`.',
  },
  {
    name: 'X-Change-Message',
    in: 'header',
    schema: { type: 'string', maxLength: 500 },
    description: 'Why, in UTF-8; kept with the change.',
  },
];

/** Headers of the answer to a write. */
export const writtenHeaders: Json = {
  'Corral-Change': { schema: { type: 'integer' }, description: 'The number of the change; absent when nothing changed.' },
};

const texts = (description: string): Json => ({ type: 'array', description, items: { type: 'string' } });

/** The answer to a dry run. */
export const plannedSchema: Json = {
  type: 'object',
  description: 'What a write would do, as ?dry_run=true answers it.',
  properties: {
    plan: {
      type: 'object',
      properties: {
        digest: {
          type: 'string',
          description: 'Tells one effect from another, for If-Plan. What is made anew each time (ids, uuids, secrets, times) is not part of it.',
        },
        rows: (changeSchema['properties'] as Json)['rows'],
        documents: {
          type: 'array',
          description: 'Documents that would be others.',
          items: {
            type: 'object',
            properties: {
              node: { type: 'string' },
              before: { type: ['string', 'null'], description: 'Its version; null: it has none.' },
              after: { type: 'string' },
              patch: { type: 'array', description: 'RFC 6902, on the body; secrets are (secret).', items: { type: 'object' } },
              text: { type: 'string', description: 'The same as a unified difference of YAML.' },
            },
          },
        },
        hosts: {
          type: 'array',
          description: 'What the hosts of these documents would do.',
          items: {
            type: 'object',
            properties: {
              node: { type: 'string' },
              manager: { type: 'string', enum: ['puppet', 'salt'] },
              acts: { type: 'boolean' },
              why: { type: 'string', description: 'Why it does not act.' },
              live: texts('Done at once.'),
              restart: texts('Waits for the next start of a domain.'),
            },
          },
        },
      },
    },
    status: { type: 'integer', description: 'The status that the write would be answered with.' },
    answer: { type: ['object', 'null'], description: 'What it would be answered with.' },
  },
};
