import type { Context } from 'hono';
import type { Origin } from '../db/transaction.ts';
import { Problem } from '../kernel/problem.ts';
import type { Env } from './answer.ts';

const LONGEST_MESSAGE = 500;

/**
 * Whose write a request is, and why, as its change will say. The answer gets `Corral-Change` with the number of the
 * change, when there is one.
 * @throws Problem bad-request
 */
export function originOf(context: Context<Env>): Origin {
  const { name, rights } = context.get('identity')!;
  return {
    actor: name,
    requestId: context.get('requestId'),
    message: messageOf(context.req.header('x-change-message')),
    committed: (change) => {
      /* They are numbered over all customers: how often the others change something is not for each of them. */
      if (change !== undefined && rights.mayEverywhere('change:read')) context.header('Corral-Change', String(change));
    },
  };
}

/** Headers come as Latin-1; what is UTF-8 in them is read as that. */
function messageOf(header: string | undefined): string | undefined {
  if (header === undefined || header.trim() === '') return undefined;
  const bytes = Buffer.from(header, 'latin1');
  const text = bytes.toString('utf8');
  const message = (text.includes('\uFFFD') ? header : text).trim();
  if (message.length > LONGEST_MESSAGE) throw new Problem('bad-request', `X-Change-Message is longer than ${LONGEST_MESSAGE} characters`);
  return message;
}
