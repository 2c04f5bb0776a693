import type { IncomingMessage } from 'node:http';
import type pg from 'pg';
import { personOf, sessionOf } from '../auth/asker.ts';
import { tokenOf } from '../auth/identity.ts';
import type { DocumentService } from './service.load.ts';

/**
 * Who asks, by their session, else their token, else the certificate of their connection, and the node that they ask
 * for. A session costs statements of its own; tokens in Authorization do not come near them.
 * @param again for a stream that goes on: no use that keeps a session from its idle end
 * @throws Problem no-token, bad-token, bad-certificate
 */
export function findBy(service: DocumentService, pool: pg.Pool, request: IncomingMessage, name: string, again = false): ReturnType<DocumentService['find']> {
  const { authorization, cookie } = request.headers;
  const session = sessionOf(request.headers);
  return session === undefined ? service.find(tokenOf(authorization, cookie), name, request) : findPerson(service, pool, session, request, name, again);
}

async function findPerson(
  service: DocumentService,
  pool: pg.Pool,
  session: string,
  request: IncomingMessage,
  name: string,
  again: boolean,
): ReturnType<DocumentService['find']> {
  const person = await personOf(pool, session, again);
  return person ? service.findFor(person, name) : service.find(tokenOf(undefined, request.headers.cookie), name, request);
}
