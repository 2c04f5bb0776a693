import { atParameter } from './openapi.changes.ts';

type Json = Record<string, unknown>;

/** The paths that hosts and their servers ask. */
export function documentPaths(problemResponse: (description: string) => Json): Json {
  const refused = {
    401: problemResponse('No token, or an unknown one.'),
    403: problemResponse('The token is of another node, or the permission document:read is missing.'),
    404: problemResponse('There is no such node.'),
    406: problemResponse('No accepted media type can be served.'),
  };
  const name = { name: 'name', in: 'path', required: true, schema: { type: 'string' }, description: 'Certname or minion id.' };
  const document = (summary: string, types: readonly string[]): Json => ({
    parameters: [name],
    get: {
      tags: ['Documents'],
      summary,
      parameters: [atParameter],
      responses: {
        200: {
          description: 'The document. Headers: ETag, Corral-Document (its version), Corral-Node.',
          content: Object.fromEntries(types.map((type) => [type, { schema: { type: 'object' } }])),
        },
        304: { description: 'As If-None-Match has it.' },
        400: problemResponse('The request cannot be understood.'),
        ...refused,
        410: problemResponse('The node is deactivated, or what it was then is no longer kept.'),
      },
    },
  });
  const types = ['application/json', 'application/yaml', 'application/msgpack', 'text/html'];
  return {
    '/enc/{name}': document("Puppet's external node classifier: classes, parameters, environment.", [
      'application/yaml',
      ...types.filter((type) => !type.includes('yaml')),
    ]),
    '/hiera/{name}': document('Hiera data, ready merged; {} for an unknown name.', types),
    '/pillar/{name}': document("Salt's external pillar.", types),
    '/tops/{name}': document("Salt's master tops.", types),
    '/documents/{name}': document("All that the node's manager needs, of one version: ENC and Hiera, or tops and pillar.", types),
    '/documents/{name}/events': {
      parameters: [name],
      get: {
        tags: ['Documents'],
        summary: 'Server-sent events: a line for the current version, and for each new one.',
        parameters: [{ name: 'Last-Event-ID', in: 'header', schema: { type: 'string' }, description: 'The version that is known: only another one is sent.' }],
        responses: {
          200: {
            description:
              'Event `document` with the version as its id and `{"version": …, "spread": seconds over which hosts start at random}` as its data; a comment every 15 s.',
            content: { 'text/event-stream': { schema: { type: 'string' } } },
          },
          400: problemResponse('The request cannot be understood.'),
          ...refused,
          410: problemResponse('The node is deactivated.'),
          503: problemResponse('The process is stopping.'),
        },
      },
    },
    '/documents': {
      get: {
        tags: ['Documents'],
        summary: 'Every document, a line each.',
        responses: {
          200: { description: 'NDJSON.', content: { 'application/x-ndjson': { schema: { type: 'string' } } } },
          401: refused[401],
          403: refused[403],
          406: refused[406],
        },
      },
    },
  };
}
