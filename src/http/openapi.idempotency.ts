type Json = Record<string, unknown>;

/** A header of every POST that makes things. */
export const idempotencyParameter: Json = {
  name: 'Idempotency-Key',
  in: 'header',
  schema: { type: 'string', minLength: 1, maxLength: 255 },
  description:
    'A new one for each request, such as a UUID; the same when it is sent again because no answer came. For a day the first answer is given again, with Idempotency-Replayed: true, and nothing is done twice. With another body or path: 422 idempotency-mismatch.',
};

/** Headers of an answer that may be given again. */
export const replayedHeaders: Json = {
  'Idempotency-Replayed': { schema: { type: 'string', enum: ['true'] }, description: 'The answer to an earlier request with this Idempotency-Key.' },
};
