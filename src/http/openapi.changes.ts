import type { Model } from '../db/catalog.ts';
import { changeFilters } from '../changes/history.ts';
import { idempotencyParameter, replayedHeaders } from './openapi.idempotency.ts';

type Json = Record<string, unknown>;

const query = (name: string, schema: Json, description: string): Json => ({ name, in: 'query', schema, description });
const point = (name: string, description: string): Json =>
  query(name, { type: ['integer', 'string'] }, `${description} The number of a change, or an RFC 3339 time.`);
const page = [
  query('limit', { type: 'integer', minimum: 1, maximum: 1000, default: 50 }, 'Most entries of a page.'),
  query('after', { type: 'integer' }, 'The cursor in the link to the next page.'),
];

/** `?at=` of documents. */
export const atParameter = point('at', 'The document as it was after this change, or at this time. A deleted node is named by its id.');

const row = {
  type: 'object',
  description: 'A row: its fields as the API writes them, of an update those that changed; secrets are (secret).',
  properties: {
    noun: { type: 'string' },
    id: { type: ['integer', 'null'] },
    key: { type: 'string' },
    label: { type: 'string' },
    op: { type: 'string', enum: ['create', 'update', 'delete'] },
    before: { type: 'object' },
    after: { type: 'object' },
  },
};

const head: Json = {
  number: { type: 'integer', description: 'Counts commits from 1, without gaps and in their order.' },
  at: { type: 'string', format: 'date-time', description: 'Never before that of an earlier change.' },
  actor: { type: 'string', description: 'The name of a token, cli:<user>, console:<user>, corral, or postgresql:<user> for SQL by hand.' },
  request_id: { type: ['string', 'null'] },
  message: { type: ['string', 'null'], description: 'From X-Change-Message.' },
  reverts: { type: ['integer', 'null'], description: 'The change that it undid.' },
  reverted_by: { type: 'array', items: { type: 'integer' } },
};

/** A change with all that it did. */
export const changeSchema: Json = {
  type: 'object',
  properties: {
    ...head,
    rows: { type: 'array', items: row },
    documents: {
      type: 'array',
      description: 'Documents that came out other than before.',
      items: { type: 'object', properties: { node: { type: 'string' }, version: { type: 'string' } } },
    },
  },
};

const listed: Json = {
  type: 'object',
  properties: {
    ...head,
    counts: { type: 'object', description: 'Rows by noun and op.' },
    things: { type: 'array', description: 'The first rows, without their fields.', items: row },
    document_count: { type: 'integer' },
  },
};

const problem = { $ref: '#/components/schemas/Problem' };
const refused = (description: string): Json => ({ description, content: { 'application/problem+json': { schema: problem } } });
const both = (schema: Json): Json => ({ 'application/json': { schema }, 'application/msgpack': { schema } });

const standing = {
  description:
    'Later changes stand in the way (stands-in-the-way: `changes` has number, at, actor, message and what of each), the plan is another (plan-changed), or a rule refuses it.',
  content: {
    'application/problem+json': {
      schema: {
        allOf: [
          problem,
          {
            properties: {
              changes: {
                type: 'array',
                items: {
                  type: 'object',
                  properties: {
                    number: { type: 'integer' },
                    at: { type: 'string' },
                    actor: { type: 'string' },
                    message: { type: ['string', 'null'] },
                    what: { type: 'array', items: { type: 'string' } },
                  },
                },
              },
            },
          },
        ],
      },
    },
  },
};

/** Changes, and the differences of documents. */
export function changePaths(responses: Json): Json {
  const tags = ['Changes'];
  const number = { name: 'number', in: 'path', required: true, schema: { type: 'integer' }, description: 'The number of the change.' };
  const gone = { 404: refused('There is no such change.'), 410: refused('It is no longer kept.') };
  const filters = Object.entries(changeFilters).map(([name, description]) => query(name, { type: 'string' }, description));
  return {
    '/api/v1/changes': {
      get: {
        tags,
        operationId: 'list_changes',
        summary: 'List changes, newest first',
        description: 'Every transaction that altered what is asked for. Also at /changes.',
        parameters: [...filters, ...page],
        responses: {
          200: {
            description: 'A page. The Link header and `next` name the next one.',
            content: both({ type: 'object', properties: { changes: { type: 'array', items: listed }, next: { type: 'string' } } }),
          },
          ...responses,
        },
      },
    },
    '/api/v1/changes/{number}': {
      parameters: [number],
      get: {
        tags,
        operationId: 'get_change',
        summary: 'Read a change, with its rows before and after',
        responses: { 200: { description: 'The change.', content: both(changeSchema) }, ...responses, ...gone },
      },
    },
    '/api/v1/changes/{number}/revert': {
      parameters: [number],
      post: {
        tags,
        operationId: 'revert_change',
        summary: 'Undo a change by a new one',
        description: 'What it made is deleted, what it altered is set back, what it deleted comes back with its ids. It is planned like any write.',
        parameters: [
          query('dry_run', { type: 'boolean' }, 'Answer the plan, and do nothing.'),
          { name: 'If-Plan', in: 'header', schema: { type: 'string' }, description: 'The digest of a plan: 409 when the effect is another by now.' },
          { name: 'X-Change-Message', in: 'header', schema: { type: 'string' }, description: 'Why; Revert change N: … when left out.' },
          idempotencyParameter,
        ],
        requestBody: { required: false, content: both({ type: 'object', properties: { message: { type: 'string', maxLength: 500 } } }) },
        responses: {
          201: {
            description: 'The new change; `warnings` says what is lost.',
            headers: replayedHeaders,
            content: both({ allOf: [changeSchema, { properties: { warnings: { type: 'array', items: { type: 'string' } } } }] }),
          },
          ...responses,
          ...gone,
          409: standing,
          413: refused('The body is too large.'),
          415: refused('The media type is not read.'),
          422: refused('The body is not {"message": "why"}; or this Idempotency-Key was sent with another request before.'),
        },
      },
    },
    '/documents/{name}/diff': {
      parameters: [
        { name: 'name', in: 'path', required: true, schema: { type: 'string' }, description: 'Certname or minion id; the id of a node that was deleted.' },
      ],
      get: {
        tags: ['Documents'],
        operationId: 'diff_document',
        summary: "The difference of a node's document between two changes or times",
        parameters: [point('from', 'When left out: the version before.'), point('to', 'When left out: now.')],
        responses: {
          200: {
            description: '`patch` is RFC 6902 on the body, `text` a unified difference of YAML; secrets are in neither.',
            content: both({
              type: 'object',
              properties: {
                node: { type: 'string' },
                from: { type: ['object', 'null'], description: 'version, change and built_at; null: there was no document.' },
                to: { type: ['object', 'null'] },
                patch: { type: 'array', items: { type: 'object' } },
                text: { type: 'string' },
              },
            }),
          },
          ...responses,
          ...gone,
        },
      },
    },
  };
}

/** The path of a thing's history. */
export function historyPath(model: Model, responses: Json): Json {
  return {
    [`/api/v1/${model.route}/{key}/history`]: {
      parameters: [
        {
          name: 'key',
          in: 'path',
          required: true,
          schema: { type: 'string' },
          description: `The id, or ${model.resource.key.join(':')}; also of one that is deleted.`,
        },
      ],
      get: {
        tags: [model.resource.area],
        operationId: `get_${model.resource.noun}_history`,
        summary: `What changes did to a ${model.resource.title}`,
        parameters: [query('field', { type: 'string' }, 'Only this field: before and after are its values.'), ...page],
        responses: {
          200: {
            description: 'Newest first.',
            content: both({
              type: 'object',
              properties: {
                history: {
                  type: 'array',
                  items: {
                    type: 'object',
                    properties: {
                      change: { type: 'integer' },
                      at: { type: 'string', format: 'date-time' },
                      actor: { type: 'string' },
                      message: { type: ['string', 'null'] },
                      noun: { type: 'string', description: "The thing's own, or that of a part of it." },
                      id: { type: ['integer', 'null'] },
                      op: { type: 'string', enum: ['create', 'update', 'delete'] },
                      before: {},
                      after: {},
                    },
                  },
                },
                next: { type: 'string' },
              },
            }),
          },
          ...responses,
        },
      },
    },
  };
}
