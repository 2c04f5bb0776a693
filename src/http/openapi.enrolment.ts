import { z } from 'zod';
import { enrolSchema, proofSchema } from '../modules/control/enrolment.verbs.ts';

type Json = Record<string, unknown>;

const schemaOf = (schema: z.ZodType): Json => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input', target: 'draft-2020-12' }) as Json;
  return rest;
};
const bodies = (schema: Json): Json => ({ 'application/json': { schema }, 'application/msgpack': { schema } });
const text = (description: string): Json => ({ type: 'string', description });

/** How hosts come in, for the description of the API. */
export function enrolmentPaths(problem: (description: string) => Json): Json {
  const tags = ['Control'];
  const key = { name: 'key', in: 'path', required: true, schema: { type: 'string' }, description: 'The id, or the uuid.' };
  const state = { type: 'string', enum: ['pending', 'approved', 'rejected', 'replaced'] };
  const decision = (verb: string, summary: string, description: string): Json => ({
    parameters: [key],
    post: {
      tags,
      operationId: `${verb}_enrolment`,
      summary,
      description,
      responses: {
        200: { description: 'The enrolment.', content: bodies({ $ref: '#/components/schemas/Enrolment' }) },
        401: problem('No token, or an unknown one.'),
        403: problem('The permission enrolment:update is missing.'),
        404: problem('There is no such enrolment.'),
        409: problem('Its state does not allow it, or there is no such node.'),
      },
    },
  });
  const open = { tags, security: [] };
  return {
    '/enrolments': {
      post: {
        ...open,
        operationId: 'enrol',
        summary: 'Ask to be let in as a node',
        description:
          'For a host with an enrolment token and an Ed25519 key that it made. `proof` is its signature over these lines, each with a line feed: `corral enrol`, the fqdn, the SHA-256 of the token in hexadecimal, the time. Asked again with the same token and key, the answer is the same.',
        requestBody: { required: true, content: bodies(schemaOf(enrolSchema)) },
        responses: {
          201: {
            description: 'It waits for an operator, or was let in by the rule of its token.',
            content: bodies({
              type: 'object',
              properties: { id: text('The uuid of the enrolment.'), fqdn: text('The name.'), state, fingerprint: text('SHA-256 of the public key.') },
            }),
          },
          400: problem('The body cannot be read.'),
          401: problem('The enrolment token is not good, or the proof.'),
          403: problem('The enrolment token is not for a host of this name.'),
          413: problem('The body is too large.'),
          422: problem('Some values are not valid; errors names them.'),
        },
      },
    },
    '/enrolments/{uuid}/token': {
      parameters: [{ name: 'uuid', in: 'path', required: true, schema: { type: 'string', format: 'uuid' }, description: 'What POST /enrolments gave as id.' }],
      post: {
        ...open,
        operationId: 'exchange_enrolment',
        summary: 'Exchange a proof of the key for a node token',
        description:
          'The token is good for a day; the one before it for another hour. `proof` is the signature over the lines `corral token`, the uuid and the time, which is later than in any statement before and within 300 s of the clock here.',
        requestBody: { required: true, content: bodies(schemaOf(proofSchema)) },
        responses: {
          200: {
            description: 'The token, or that it still waits for an operator.',
            content: bodies({
              type: 'object',
              properties: { state, node: text('Whose it is.'), token: text('The node token.'), expires_at: { type: 'string', format: 'date-time' } },
              required: ['state'],
            }),
          },
          400: problem('The body cannot be read.'),
          401: problem('The proof is not good, too old, or used.'),
          403: problem('The enrolment was rejected, or replaced by a later one.'),
          404: problem('There is no such enrolment.'),
          422: problem('Some values are not valid; errors names them.'),
        },
      },
    },
    '/api/v1/enrolments/{key}/approve': decision(
      'approve',
      'Let a host in',
      'Compare the fingerprint with what the host shows. A host that was this node before is so no more.',
    ),
    '/api/v1/enrolments/{key}/reject': decision('reject', 'Do not let a host in, or put it out', 'Its token ends at once.'),
  };
}
