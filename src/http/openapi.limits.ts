type Json = Record<string, unknown>;

const problem = { content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } } };
const answers: Readonly<Record<string, Json>> = {
  429: {
    description: 'Too many requests.',
    headers: {
      'Retry-After': { schema: { type: 'integer' }, description: 'Seconds after which it may be tried again.' },
      RateLimit: { schema: { type: 'string' }, description: 'How many requests may come now, and in how many seconds all of them: "identity";r=11999;t=1.' },
      'RateLimit-Policy': { schema: { type: 'string' }, description: 'How many may come in so many seconds: "identity";q=12000;w=60.' },
    },
    ...problem,
  },
  431: { description: 'The URL and the headers are larger than 16 KiB.', ...problem },
};

/** The same description, in which every operation may be asked too often, or at too great length. */
export function withLimits(description: Json): Json {
  for (const operations of Object.values(description['paths'] as Record<string, Json>))
    for (const operation of Object.values(operations) as { responses?: Json }[])
      if (operation.responses) operation.responses = { ...answers, ...operation.responses };
  return description;
}
