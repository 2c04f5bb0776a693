import type pg from 'pg';
import { hashToken } from '../modules/control/token.verbs.ts';
import { Problem } from '../kernel/problem.ts';

/** Who asks. */
export interface Identity {
  readonly kind: 'admin' | 'reader' | 'node' | 'server';
  /** The token's name. */
  readonly name: string;
  /** Of a node token: the node's name. */
  readonly node: string | null;
}

/** Cookie in which a browser keeps the token: not readable by script, not sent from other sites. */
export const COOKIE = 'corral_token';

/** The token of a request: `Authorization: Bearer`, or the cookie of the login page. */
export function tokenOf(authorization: string | null | undefined, cookie: string | null | undefined): string | undefined {
  const bearer = /^Bearer +([\x21-\x7e]{1,300})$/i.exec(authorization ?? '')?.[1];
  if (bearer !== undefined) return bearer;
  if (authorization) return undefined;
  return new RegExp(`(?:^|;\\s*)${COOKIE}=([A-Za-z0-9_-]{1,300})`).exec(cookie ?? '')?.[1];
}

/**
 * Looks a token up; asked anew for each request, so that a deleted token is refused at once everywhere.
 * @throws Problem no-token, bad-token
 */
export async function authenticate(pool: pg.Pool, token: string | undefined): Promise<Identity> {
  if (token === undefined) throw noToken();
  const { rows } = await pool.query<Identity>({
    name: 'authenticate',
    text: `select t.kind, t.name, n.fqdn as node from token t left join node n on n.id = t.node_id where t.hash = $1`,
    values: [hashToken(token)],
  });
  if (!rows[0]) throw badToken();
  return rows[0];
}

export const noToken = (): Problem => new Problem('no-token', 'Send Authorization: Bearer and a token, or log in at /login');
export const badToken = (): Problem => new Problem('bad-token', 'This token is not known here; it may have been deleted, or belong to another Corral');

/** Things that a token may do: read the API, write it, report for a node, or read the documents of all nodes. */
export type Verb = 'read' | 'write' | 'report' | 'documents';

const may: Readonly<Record<Identity['kind'], readonly Verb[]>> = {
  admin: ['read', 'write', 'report', 'documents'],
  reader: ['read', 'documents'],
  server: ['report', 'documents'],
  node: ['report'],
};

/**
 * Readers read, admins also write; servers read documents and report, and node tokens report for their node.
 * @param node of a report: whom it is about
 * @throws Problem forbidden
 */
export function allow(identity: Identity, verb: Verb, node?: string): void {
  const own = identity.kind !== 'node' || node === undefined || node === identity.node;
  if (may[identity.kind].includes(verb) && own) return;
  const said = {
    admin: '',
    reader: 'only read',
    server: 'only read documents and report for nodes',
    node: `only read the documents of ${identity.node} and report for it`,
  }[identity.kind];
  throw new Problem('forbidden', `The token '${identity.name}' may ${said}`);
}
