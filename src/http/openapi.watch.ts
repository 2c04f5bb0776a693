import { changeSchema } from './openapi.changes.ts';

type Json = Record<string, unknown>;

/** `/watch`, and what webhooks have beyond their nouns. */
export function watchPaths(problem: (description: string) => Json): Json {
  const refused = { 401: problem('No token, or an unknown one.'), 403: problem('The token may not do that.') };
  const sent = {
    ...changeSchema,
    description: 'A change. One of more than 1000 rows comes without them, and says in rows_left_out how many there are.',
  };
  return {
    '/watch': {
      get: {
        tags: ['Changes'],
        operationId: 'watch',
        summary: 'Each change as it is committed, once and in order',
        description:
          'As server-sent events: event `change`, the number as id, the change as data; a comment or an id alone every 15 s; event `fallen-behind`, and the end, for a reader that was so slow that changes it has not seen are no longer kept. As NDJSON: a change a line, and empty lines; a problem as its last line for one that has fallen behind.',
        parameters: [
          {
            name: 'since',
            in: 'query',
            schema: { type: 'integer', minimum: 0 },
            description: 'Begin after the change of this number; 0 is all. Else: from now on; the header Corral-Change says which number that is.',
          },
          {
            name: 'kinds',
            in: 'query',
            schema: { type: 'string' },
            description: 'Nouns with a comma between: only changes with at least one of them. Last-Event-ID goes on past the others.',
          },
          { name: 'Last-Event-ID', in: 'header', schema: { type: 'integer' }, description: 'As since, and before it.' },
        ],
        responses: {
          200: {
            description: 'It goes on until the client leaves, or its token is deleted.',
            content: { 'text/event-stream': { schema: sent }, 'application/x-ndjson': { schema: sent } },
          },
          400: problem('since is in the future, or not a number; kinds names no noun.'),
          ...refused,
          406: problem('No accepted media type can be served.'),
          410: problem('Changes after since are no longer kept: oldest is the first that is.'),
          503: problem('The process is stopping.'),
        },
      },
    },
    '/api/v1/webhook-deliveries/{id}/redeliver': {
      parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'integer' } }],
      post: {
        tags: ['Control'],
        operationId: 'redeliver_webhook_delivery',
        summary: 'Send a change to a webhook once more',
        description: 'At once, with the same webhook-id. It is tried again for a day, and holds up no other.',
        responses: {
          200: { description: 'The delivery, pending.', content: { 'application/json': { schema: { $ref: '#/components/schemas/WebhookDelivery' } } } },
          400: problem('The request cannot be understood.'),
          ...refused,
          404: problem('There is no such delivery.'),
          405: problem('The id is not a number.'),
          409: problem('The webhook is disabled.'),
        },
      },
    },
  };
}

/** What is sent to a webhook's URL. */
export function webhookCalls(): Json {
  const header = (name: string, description: string): Json => ({ name, in: 'header', required: true, schema: { type: 'string' }, description });
  return {
    change: {
      post: {
        tags: ['Changes'],
        summary: 'A change, to a webhook',
        description:
          'Signed as Standard Webhooks has it. Any 2xx within 10 s is success; 410 disables the webhook; all else, redirects among it, is tried again.',
        parameters: [
          header('webhook-id', 'The same in each attempt: who knows it has seen this change.'),
          header('webhook-timestamp', 'Seconds since 1970 of this attempt.'),
          header('webhook-signature', "v1, and the HMAC-SHA256 of id.timestamp.body with the secret's bytes, in base64."),
        ],
        requestBody: { required: true, content: { 'application/json': { schema: changeSchema } } },
        responses: { '2XX': { description: 'Taken in.' } },
      },
    },
  };
}
