type Json = Record<string, unknown>;

const text = { type: 'string' };
const texts = { type: 'array', items: text };
const change = {
  type: ['object', 'null'],
  description: 'Null: it is older than the changes that are kept.',
  properties: { number: { type: 'integer' }, at: { type: 'string', format: 'date-time' }, actor: text, message: { type: ['string', 'null'] } },
};

const note = {
  layer: text,
  scope: text,
  target: { type: ['string', 'null'], description: 'What of that scope it is attached to.' },
  weight: { type: 'integer' },
  reaches: { type: 'boolean', description: 'Whether it reaches the node.' },
  because: { type: 'string', description: 'Why it does, or does not.' },
};

const value = {
  type: 'object',
  properties: {
    kind: { type: 'string', enum: ['class', 'class_parameter', 'parameter', 'environment', 'data'] },
    key: text,
    places: {
      type: 'object',
      description: 'Where the documents have it: a JSON pointer into the ENC, the key of Hiera, the path in pillar, the state of the tops.',
      properties: { enc: text, hiera: text, pillar: text, tops: text },
    },
    value: { description: 'Of a secret `(secret)`.' },
    secret: { type: 'boolean' },
    source: { type: 'string', enum: ['model', 'layers'] },
    from: { ...texts, description: 'Of the model: the nouns that it is made from.' },
    strategy: { type: 'string', enum: ['first', 'unique', 'hash', 'deep'] },
    declared_by: { ...texts, description: 'Layers that declare the strategy; none: it is the default.' },
    conflict: { type: 'boolean', description: 'Layers of the same scope and weight give different values: their names decided.' },
    won: { ...texts, description: 'The layers that are the value, or part of it.' },
    layers: {
      type: 'array',
      description: 'Those that were looked at, in order; of one key also those that set it and do not reach the node.',
      items: {
        type: 'object',
        properties: {
          ...note,
          outcome: { type: 'string', enum: ['won', 'contributed', 'lost', 'silent', 'out_of_reach'] },
          value: { description: 'What it gave. Not there where it is silent; of a secret `(secret)`.' },
          secret: { type: 'boolean' },
          change: { ...change, description: 'The change that set it; null: the layer is silent, or it was set before changes were kept.' },
        },
      },
    },
    since: {
      type: 'object',
      description: 'The oldest version of the document from which on it has been as it is.',
      properties: { version: text, built_at: { type: 'string', format: 'date-time' }, change, or_earlier: { type: 'boolean' } },
    },
    notes: texts,
  },
};

/** What explaining answers. */
export function explanationSchema(): Json {
  return {
    type: 'object',
    description: "Where values of a node's documents come from.",
    properties: {
      node: text,
      version: text,
      manager: { type: 'string', enum: ['puppet', 'salt'] },
      key: text,
      layers: {
        type: 'array',
        description: 'The layers that reach the node, in the order in which they are looked at.',
        items: { type: 'object', properties: note },
      },
      values: { type: 'array', items: value },
    },
  };
}

/** Where values come from; also without /api/v1 before it. */
export function explainPaths(errors: Json): Json {
  const schema = { $ref: '#/components/schemas/Explanation' };
  const responses = {
    200: {
      description: 'Headers: ETag, Corral-Document (the version), Corral-Node.',
      content: {
        'application/json': { schema },
        'application/msgpack': { schema },
        'text/plain': { schema: { type: 'string', description: 'In the manner of puppet lookup --explain.' } },
        'text/html': { schema: text },
      },
    },
    ...errors,
  };
  const node = { name: 'key', in: 'path', required: true, schema: text, description: 'The id, or fqdn.' };
  const about = (operationId: string, summary: string, description: string, parameters: readonly Json[]): Json => ({
    parameters,
    get: { tags: ['Documents'], operationId, summary, description, responses },
  });
  return {
    '/api/v1/nodes/{key}/explain': about(
      'explain_node',
      "Where the values of a node's documents come from",
      'Every class, parameter, variable and key, with the layers that were looked at in order, or the nouns that Corral makes it from. Also at /nodes/{key}/explain.',
      [node],
    ),
    '/api/v1/nodes/{key}/explain/{name}': about(
      'explain_value',
      "Where a value of a node's documents comes from",
      'The layers that were looked at in order, what each gave, what won, and the change that set it; and the layers that set it and do not reach the node. 404 names keys that are near. Also at /nodes/{key}/explain/{name}.',
      [
        node,
        {
          name: 'name',
          in: 'path',
          required: true,
          schema: text,
          description: 'A key of Hiera or pillar, a class, a class::parameter, a variable, or environment; dots lead into a value, as in firewall.rules.ssh.',
        },
      ],
    ),
  };
}
