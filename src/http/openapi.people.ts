type Json = Record<string, unknown>;

/** What admins do for people, for the description of the API. */
export function peoplePaths(errors: Json): Json {
  const base = { tags: ['People'] };
  const key = { name: 'key', in: 'path', required: true, schema: { type: 'string' }, description: 'The id, or the name.' };
  const answer = (description: string, properties: Json): Json => {
    const schema = { type: 'object', properties };
    return { description, content: { 'application/json': { schema }, 'application/msgpack': { schema } } };
  };
  return {
    '/api/v1/people/{key}/reset': {
      parameters: [key],
      post: {
        ...base,
        operationId: 'reset_person',
        summary: 'Make a login link',
        description: 'With it the person sets a new password, once, within an hour. Links made before are good no more.',
        responses: {
          200: answer('The link; it is not shown again. A path, where the server does not know its CORRAL_PUBLIC_URL.', {
            name: { type: 'string' },
            login_link: { type: 'string' },
            ends_at: { type: 'string', format: 'date-time' },
          }),
          ...errors,
        },
      },
    },
    '/api/v1/people/{key}/second-factor': {
      parameters: [key],
      delete: {
        ...base,
        operationId: 'remove_second_factor',
        summary: 'Remove the second factor of a person',
        responses: { 200: answer('Done.', { removed: { type: 'boolean', description: 'Whether there was one.' } }), ...errors },
      },
    },
    '/api/v1/people/{key}/sessions': {
      parameters: [key],
      delete: {
        ...base,
        operationId: 'end_sessions',
        summary: 'End all sessions of a person',
        responses: { 200: answer('Done.', { ended: { type: 'integer', description: 'How many there were.' } }), ...errors },
      },
    },
  };
}

/** Sessions are made by logging in, and ended here. */
export const endSession: Json = {
  tags: ['People'],
  operationId: 'end_session',
  summary: 'End a session',
  description: 'The browser is logged out at once, at every process.',
};
