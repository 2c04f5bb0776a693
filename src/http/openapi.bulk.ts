import { z } from 'zod';
import { bulkSchema, MAX_FAULTS, MAX_OPERATIONS } from '../bulk/operations.ts';
import { idempotencyParameter, replayedHeaders } from './openapi.idempotency.ts';
import { writeParameters, writtenHeaders } from './openapi.plan.ts';

type Json = Record<string, unknown>;

const result: Json = {
  type: 'object',
  required: ['noun', 'id', 'key', 'status'],
  properties: {
    ref: { type: 'string' },
    noun: { type: 'string' },
    id: { type: 'integer' },
    key: { type: ['string', 'null'], description: 'Its natural key, after all operations.' },
    status: { type: 'string', enum: ['created', 'updated', 'unchanged', 'deleted'] },
    once: { type: 'object', description: 'What is shown now and never again: a new token.' },
  },
};

/** `POST /bulk`. */
export function bulkPaths(refused: Json): Json {
  const { $schema: _, ...request } = z.toJSONSchema(bulkSchema, { io: 'input', unrepresentable: 'any', target: 'draft-2020-12' }) as Json;
  const answer: Json = {
    type: 'object',
    required: ['results'],
    properties: {
      results: { type: 'array', description: 'One for each operation, in order.', items: result },
      pruned: { type: 'array', description: 'Members of the set that were deleted, because no operation names them.', items: result },
    },
  };
  return {
    '/bulk': {
      post: {
        tags: ['Many at once'],
        operationId: 'bulk',
        summary: 'Carry out many operations in one transaction',
        description: `Up to ${MAX_OPERATIONS} operations on any nouns, all or none. {"$ref": "name"} in a body or as a key stands for what the earlier operation with that ref made or changed; name/volumes/0 and name/interfaces/0 for a disk or card of a virtual machine. A refusal names the places of up to ${MAX_FAULTS} faults, e.g. /operations/17/body/cores, and in refused_operations the problem of each operation. Also at /api/v1/bulk.`,
        parameters: [...writeParameters, idempotencyParameter],
        requestBody: { required: true, content: { 'application/json': { schema: request }, 'application/msgpack': { schema: request } } },
        responses: {
          200: {
            description:
              'Done; or with dry_run the plan. With Accept: application/x-ndjson a line now and then says how many operations are done, {"done": …, "total": …}, and the last one is {"status": …, "change": …, "body": …} with what else would be the answer.',
            headers: { ...writtenHeaders, ...replayedHeaders },
            content: {
              'application/json': { schema: { anyOf: [answer, { $ref: '#/components/schemas/Planned' }] } },
              'application/msgpack': { schema: answer },
              'application/x-ndjson': { schema: { type: 'string' } },
            },
          },
          ...refused,
        },
      },
    },
  };
}
