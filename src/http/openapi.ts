import { z } from 'zod';
import type { Catalog, Field, Model } from '../db/catalog.ts';
import { LONGEST, TIMEOUT } from '../events/wait.ts';
import { CONVERGENCE, operatorMeanings, operatorsOf, reverseNames, type Operator } from '../db/query.ts';
import { problems } from '../kernel/problem.ts';
import { isKept } from '../pages/link.ts';
import { changePaths, historyPath } from './openapi.changes.ts';
import { bulkPaths } from './openapi.bulk.ts';
import { documentPaths } from './openapi.documents.ts';
import { enrolmentPaths } from './openapi.enrolment.ts';
import { explainPaths, explanationSchema } from './openapi.explain.ts';
import { idempotencyParameter, replayedHeaders } from './openapi.idempotency.ts';
import { plannedSchema, writeParameters, writtenHeaders } from './openapi.plan.ts';
import { endSession, peoplePaths } from './openapi.people.ts';
import { convergencePath, convergenceSchema, reportPaths } from './openapi.reports.ts';
import { watchPaths, webhookCalls } from './openapi.watch.ts';

type Json = Record<string, unknown>;

const schemaOf = (schema: z.ZodType): Json => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', target: 'draft-2020-12' }) as Json;
  return rest;
};

const bodies = (schema: Json): Json => ({
  'application/json': { schema },
  'application/msgpack': { schema },
});

const problemResponse = (description: string): Json => ({
  description,
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
});

/** The description of the API (OpenAPI 3.1), made from the declarations. */
export function openApi(catalog: Catalog, version: string): Json {
  const paths: Json = {};
  const schemas: Json = { Problem: problemSchema(), Convergence: convergenceSchema(), Planned: plannedSchema, Explanation: explanationSchema() };
  for (const model of catalog.models) {
    const name = model.resource.title.replaceAll(/[^A-Za-z]+(.)?/g, (_, next: string | undefined) => next?.toUpperCase() ?? '');
    schemas[name] = rowSchema(model);
    Object.assign(paths, pathsOf(model, name, schemas));
  }
  Object.assign(paths, documentPaths(problemResponse));
  const refused = {
    401: problemResponse('No token, or an unknown one.'),
    403: problemResponse('The token may not do that.'),
    404: problemResponse('There is no such thing.'),
  };
  Object.assign(paths, peoplePaths({ ...refused, 409: problemResponse('The person logs in through a directory, or is disabled.') }));
  Object.assign(paths['/api/v1/sessions/{key}'] as Json, { delete: { ...endSession, responses: { 204: { description: 'Ended.' }, ...refused } } });
  Object.assign(
    paths,
    explainPaths({
      401: problemResponse('No token, or an unknown one.'),
      403: problemResponse('The token may not read that.'),
      404: problemResponse('There is no such node, or no such value in its documents: near names some that are like it.'),
      406: problemResponse('No accepted media type can be served.'),
      410: problemResponse('The node is deactivated.'),
    }),
  );
  Object.assign(
    paths,
    changePaths({
      400: problemResponse('The request cannot be understood.'),
      401: problemResponse('No token, or an unknown one.'),
      403: problemResponse('The token may not do that.'),
    }),
  );
  Object.assign(
    paths,
    bulkPaths({
      400: problemResponse('The request cannot be understood.'),
      401: problemResponse('No token, or an unknown one.'),
      403: problemResponse('The token may not do that.'),
      404: problemResponse('A key names nothing.'),
      409: problemResponse('It conflicts with what is there, or its effect is no longer the planned one.'),
      412: problemResponse('A row was changed since it was read.'),
      413: problemResponse('The body is larger than CORRAL_BULK_LIMIT.'),
      422: problemResponse('Some values are not valid; errors names them.'),
    }),
  );
  Object.assign(paths, enrolmentPaths(problemResponse), watchPaths(problemResponse));
  Object.assign(
    paths,
    reportPaths({
      400: problemResponse('The body cannot be read.'),
      401: problemResponse('No token, or an unknown one.'),
      403: problemResponse('The token may not report for this node.'),
      404: problemResponse('There is no such node.'),
      413: problemResponse('The body is too large.'),
      422: problemResponse('It is not of the form; errors names the places.'),
    }),
  );
  return {
    openapi: '3.1.0',
    info: {
      title: 'Corral',
      version,
      description: 'The source of truth for a fleet of virtualisation hosts. Sizes are bytes, bandwidth bytes per second, memory bytes, times RFC 3339 in UTC.',
    },
    security: [{ token: [] }],
    tags: [...new Set(catalog.models.map((model) => model.resource.area)), 'Many at once', 'Changes', 'Documents', 'Reports'].map((name) => ({ name })),
    paths,
    webhooks: webhookCalls(),
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'A token made by `corral token create`, or the admin token printed at the first start.' },
      },
      schemas,
    },
  };
}

function problemSchema(): Json {
  return {
    type: 'object',
    description: 'RFC 9457 problem details.',
    required: ['type', 'title', 'status', 'code', 'detail'],
    properties: {
      type: { type: 'string' },
      title: { type: 'string' },
      status: { type: 'integer' },
      code: { type: 'string', enum: Object.keys(problems) },
      detail: { type: 'string', description: 'What to do.' },
      errors: { type: 'array', items: { type: 'object', properties: { pointer: { type: 'string' }, message: { type: 'string' } } } },
    },
  };
}

function rowSchema(model: Model): Json {
  const properties: Json = model.pk === 'id' ? { id: { type: 'integer' } } : {};
  for (const field of model.fields) {
    if (field.writeOnly) continue;
    properties[field.name] = field.ref === undefined ? schemaOf(field.schema) : refSchema(field);
  }
  for (const name of Object.keys(model.parts)) properties[name] = { type: 'object' };
  if (model.pk === 'id')
    Object.assign(properties, {
      version: { type: 'integer' },
      created_at: { type: 'string', format: 'date-time' },
      updated_at: { type: 'string', format: 'date-time' },
    });
  return { type: 'object', description: model.resource.summary, properties };
}

function refSchema(field: Field): Json {
  /* Null too where the one who asks may not see it, and the thing itself where it is included. */
  return { type: ['string', 'null', 'object'], description: `${field.description} The key of a ${field.ref?.replaceAll('_', ' ')}.` };
}

function pathsOf(model: Model, name: string, schemas: Json): Json {
  const { resource, route } = model;
  const row = { $ref: `#/components/schemas/${name}` };
  const base = { tags: [resource.area] };
  const errors: Json = {
    400: problemResponse('The request cannot be understood.'),
    401: problemResponse('No token, or an unknown one.'),
    403: problemResponse('The token may not do that.'),
    406: problemResponse('No accepted media type can be served.'),
  };
  const found = { ...errors, 404: problemResponse('There is no such thing.') };
  const written = {
    ...found,
    409: problemResponse('It conflicts with what is there.'),
    412: problemResponse('It was changed since it was read.'),
    413: problemResponse('The body is too large.'),
    415: problemResponse('The media type is not read.'),
    422: problemResponse('Some values are not valid; errors names them.'),
  };
  const planned = { $ref: '#/components/schemas/Planned' };
  const dryRun = { description: 'The plan: it was a dry run.', content: bodies(planned) };
  const changed = { description: 'Changed; the plan, when it was a dry run.', headers: writtenHeaders, content: bodies({ anyOf: [row, planned] }) };
  const guard = { name: 'If-Match', in: 'header', schema: { type: 'string' }, description: 'The ETag that was read; 412 when the thing was changed since.' };
  const listed: Json = {
    get: {
      ...base,
      operationId: `list_${resource.plural}`,
      summary: `List ${resource.plural.replaceAll('_', ' ')}`,
      description: resource.summary,
      parameters: listParameters(model),
      responses: {
        200: {
          description: 'A page. The Link header and `next` name the next one.',
          content: bodies({
            type: 'object',
            properties: { [resource.plural]: { type: 'array', items: row }, next: { type: 'string' }, total: { type: 'integer' } },
          }),
        },
        ...errors,
      },
    },
  };
  const one: Json = {
    parameters: [{ name: 'key', in: 'path', required: true, schema: { type: 'string' }, description: `The id, or ${resource.key.join(':')}.` }],
    get: {
      ...base,
      operationId: `get_${resource.noun}`,
      summary: `Read a ${resource.title}`,
      parameters: rowParameters(model),
      responses: { 200: { description: 'The thing.', content: bodies(row) }, ...found },
    },
  };
  const without = new Set(resource.readOnly ? ['create', 'update', 'delete'] : resource.without);
  if (!without.has('create')) {
    schemas[`New${name}`] = schemaOf(model.createSchema);
    listed['post'] = {
      ...base,
      operationId: `create_${resource.noun}`,
      summary: `Make a ${resource.title}`,
      requestBody: { required: true, content: bodies({ $ref: `#/components/schemas/New${name}` }) },
      parameters: [...writeParameters, idempotencyParameter],
      responses: { 201: { description: 'Made.', headers: { ...writtenHeaders, ...replayedHeaders }, content: bodies(row) }, 200: dryRun, ...written },
    };
  }
  if (!without.has('update')) {
    schemas[`Changed${name}`] = schemaOf(model.updateSchema);
    one['patch'] = {
      ...base,
      operationId: `change_${resource.noun}`,
      summary: `Change a ${resource.title}`,
      description: 'A merge patch (RFC 7396): what is left out stays.',
      parameters: [guard, ...writeParameters],
      requestBody: { required: true, content: bodies({ $ref: `#/components/schemas/Changed${name}` }) },
      responses: { 200: changed, ...written },
    };
    if (!without.has('create') && !resource.key.some((key) => model.field.get(key)!.readOnly)) {
      one['put'] = {
        ...base,
        operationId: `put_${resource.noun}`,
        summary: `Make a ${resource.title}, or set its fields`,
        description: 'By natural key. What is left out of an existing thing stays.',
        parameters: [guard, ...writeParameters],
        requestBody: { required: true, content: bodies({ $ref: `#/components/schemas/New${name}` }) },
        responses: {
          200: changed,
          201: { description: 'Made.', headers: writtenHeaders, content: bodies(row) },
          ...written,
          405: problemResponse('The key is unique over the whole fleet, and may not be chosen by who sees only a part of it.'),
        },
      };
    }
  }
  if (!without.has('delete'))
    one['delete'] = {
      ...base,
      operationId: `delete_${resource.noun}`,
      summary: `Delete a ${resource.title}`,
      parameters: [guard, ...writeParameters],
      responses: { 204: { description: 'Deleted.', headers: writtenHeaders }, 200: dryRun, ...written },
    };
  return {
    [`/api/v1/${route}`]: listed,
    [`/api/v1/${route}/{key}`]: one,
    ...(resource.observed ? convergencePath(model, found) : {}),
    ...(isKept(model) ? historyPath(model, found) : {}),
  };
}

function listParameters(model: Model): Json[] {
  const query = (name: string, schema: Json, description: string): Json => ({ name, in: 'query', schema, description });
  return [
    ...model.fields.flatMap((field) =>
      operatorsOf(field).map((suffix) => query(field.name + suffix, { type: 'string' }, `${field.name} ${operatorMeanings[suffix]}.`)),
    ),
    ...Object.entries(model.resource.filters ?? {}).flatMap(([name, { path, operators, choices, description }]) =>
      path
        ? [query(`${name}.<path>`, { type: 'string' }, `${description}. The path may end in one of ${operators.filter((one) => one !== '').join(', ')}.`)]
        : operators.map((suffix) =>
            query(
              name + suffix,
              { type: 'string', ...(choices && suffix !== '__in' ? { enum: choices } : {}) },
              `${description} ${operatorMeanings[suffix as Operator]}.`,
            ),
          ),
    ),
    query('q', { type: 'string' }, 'Part of the key or name, in any case of letters.'),
    query('sort', { type: 'string' }, 'Fields with a comma between; - before one turns its order.'),
    query('limit', { type: 'integer', minimum: 1, maximum: 1000, default: 100 }, 'Most rows of a page.'),
    query('after', { type: 'string' }, 'The cursor in the link to the next page.'),
    query('total', { type: 'boolean' }, 'Whether to count all.'),
    ...rowParameters(model),
  ];
}

function rowParameters(model: Model): Json[] {
  const relations = [
    ...(model.resource.observed ? [CONVERGENCE] : []),
    ...model.fields.filter((field) => field.ref !== undefined).map((field) => field.name),
    ...reverseNames(model).keys(),
  ];
  return [
    { name: 'fields', in: 'query', schema: { type: 'string' }, description: 'Only these fields, with a comma between.' },
    ...(relations.length > 0
      ? [{ name: 'include', in: 'query', schema: { type: 'string' }, description: `Relations to put in, with a comma between: ${relations.join(', ')}.` }]
      : []),
    ...(model.resource.observed
      ? [
          {
            name: 'wait',
            in: 'query',
            schema: { type: 'string', enum: ['converged'] },
            description:
              'Answer when its hosts are converged with it, or when the time is over: then `convergence` says how far they are. The header Corral-Converged says which.',
          },
          {
            name: 'timeout',
            in: 'query',
            schema: { type: 'integer', minimum: 0, maximum: LONGEST, default: TIMEOUT },
            description: 'Seconds to wait at most.',
          },
        ]
      : []),
  ];
}
