import { createHash, createPublicKey, verify, type KeyObject } from 'node:crypto';
import { sql } from 'kysely';
import { z } from 'zod';
import { check, invalid } from '../../db/check.ts';
import { getRow, idOf, type Row } from '../../db/read.ts';
import { settle, transaction, withOrigin, type Hooks, type Store, type Tx, type Values } from '../../db/transaction.ts';
import { insertRow } from '../../db/write.ts';
import { isRecord } from '../../kernel/codec.ts';
import { Problem } from '../../kernel/problem.ts';
import { hashToken, newToken } from './token.verbs.ts';

/** Seconds that the clocks of a host and of Corral may differ. */
export const WINDOW = 300;
/** Seconds that a node token is good, and the one before it once there is a new one. */
export const VALID = 86_400;
const OVERLAP = 3600;

/** DER of an Ed25519 public key, up to the key. */
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');

export const enrolmentTokenHooks: Hooks = {
  prepare: (tx, input) => {
    /* Who may not approve, or make nodes, does not get there through a token. */
    if (input['auto_approve'] === true) tx.store.rights?.demand('enrolment:update', { everywhere: true });
    if (input['node'] != null) {
      tx.store.rights?.demand('node:create', { everywhere: true });
      if (input['site'] == null) throw invalid([{ pointer: '/site', message: 'is needed: nodes are made there' }]);
      for (const name of ['fqdn', 'site'])
        if (isRecord(input['node']) && name in input['node']) throw invalid([{ pointer: `/node/${name}`, message: 'is given elsewhere' }]);
    }
    const secret = newToken('enrolment');
    /* Kept for `created`, which shows it once; not a property of the entity. */
    input['token'] = secret;
    const { token: _shown, ...values } = input;
    return { ...values, hash: hashToken(secret) };
  },
  created: (_tx, _id, input) => ({ token: input['token'] }),
};

const time = z.iso.datetime({ offset: true }).describe('When it was signed, by the clock of the host.');
const proof = z
  .string()
  .regex(/^[A-Za-z0-9+/]{86}==$/, 'must be 64 bytes in base64')
  .describe('The Ed25519 signature, in base64.');

export const enrolSchema = z.strictObject({
  token: z.string().min(1).max(300).describe('The enrolment token.'),
  fqdn: z
    .string()
    .regex(/^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/, 'must be a full host name')
    .transform((name) => name.toLowerCase())
    .describe('The name of the host, in full.'),
  public_key: z.string().min(1).max(1000).describe('The Ed25519 key that the host made: 32 bytes in base64, or PEM.'),
  time,
  proof,
});
export const proofSchema = z.strictObject({ time, proof });

/** What a host signs to enrol, and to get a token: lines. */
export const enrolStatement = (fqdn: string, token: string, at: string): string =>
  `corral enrol\n${fqdn}\n${createHash('sha256').update(token).digest('hex')}\n${at}\n`;
export const tokenStatement = (uuid: string, at: string): string => `corral token\n${uuid}\n${at}\n`;

function keyOf(text: string): { key: KeyObject; raw: Buffer } {
  const wrong = (): Problem => invalid([{ pointer: '/public_key', message: 'must be an Ed25519 public key: 32 bytes in base64, or PEM' }]);
  try {
    const raw = /^[A-Za-z0-9+/]{43}=$/.test(text) ? Buffer.from(text, 'base64') : undefined;
    const key = createPublicKey(raw ? { key: Buffer.concat([SPKI, raw]), format: 'der', type: 'spki' } : text);
    if (key.asymmetricKeyType !== 'ed25519' || (!raw && !text.includes('PUBLIC KEY'))) throw wrong();
    return { key, raw: raw ?? key.export({ format: 'der', type: 'spki' }).subarray(SPKI.length) };
  } catch {
    throw wrong();
  }
}

/** @throws Problem bad-proof */
function demandProof(key: KeyObject, statement: string, at: string, signature: string): void {
  const away = Math.round((Date.parse(at) - Date.now()) / 1000);
  if (Math.abs(away) > WINDOW)
    throw new Problem(
      'bad-proof',
      `The host's clock says ${at}, ${Math.abs(away)} s ${away < 0 ? 'behind' : 'before'} Corral's; set it right: they may differ by ${WINDOW} s`,
    );
  if (!verify(null, Buffer.from(statement), key, Buffer.from(signature, 'base64')))
    throw new Problem('bad-proof', 'The signature is not one of this key over these values');
}

/** Where a request comes from. */
export interface From {
  readonly address?: string | undefined;
  readonly requestId?: string | undefined;
}

interface TokenRow {
  readonly id: number;
  readonly name: string;
  readonly site: number | null;
  readonly pattern: string;
  readonly left: boolean;
  readonly good: boolean;
  readonly auto_approve: boolean;
  readonly node: Values | null;
}

/**
 * A host asks to be let in. Asked again with the same token and key it gets the same answer: it may have lost the first.
 * @throws Problem invalid, bad-proof, bad-token, forbidden
 */
export async function enrol(store: Store, input: unknown, { address, requestId }: From): Promise<Row> {
  const asked = check(enrolSchema as unknown as z.ZodType<Values>, input) as z.output<typeof enrolSchema>;
  const { key, raw } = keyOf(asked.public_key);
  demandProof(key, enrolStatement(asked.fqdn, asked.token, asked.time), asked.time, asked.proof);
  const model = store.catalog.byNoun('enrolment');
  const db = store.orm.em.fork().getKysely();
  /* Strangers hold up nobody: only who may make a node takes the lock that this needs. */
  const known = await sql<{
    makes: boolean;
  }>`select auto_approve and node is not null as makes from enrolment_token where hash = ${hashToken(asked.token)}`.execute(db);
  if (!known.rows[0]) throw unknownToken();
  return transaction(
    withOrigin(store, { actor: `enrolment of ${asked.fqdn}`, requestId }),
    async (tx) => {
      const { rows } =
        await sql<TokenRow>`select id::float8 as id, name, site_id::float8 as site, pattern, used < uses as left, expires_at > now() as good, auto_approve, node
      from enrolment_token where hash = ${hashToken(asked.token)} for update`.execute(tx.db);
      const token = rows[0];
      if (!token) throw unknownToken();
      const before = await sql<{ id: number }>`select id::float8 as id from enrolment
      where enrolment_token_id = ${token.id} and fqdn = ${asked.fqdn} and public_key = ${raw}`.execute(tx.db);
      let id = before.rows[0]?.id;
      if (id === undefined) {
        if (!token.good) throw new Problem('bad-token', 'This enrolment token has ended; ask for another');
        if (!token.left) throw new Problem('bad-token', 'This enrolment token was used as often as it may be; ask for another');
        if (!(await isFor(tx, token, asked.fqdn))) throw new Problem('forbidden', `This enrolment token is not for a host named ${asked.fqdn}`);
        await sql`update enrolment_token set used = used + 1, version = version + 1, updated_at = now() where id = ${token.id}`.execute(tx.db);
        const made = await sql<{ id: number }>`insert into enrolment (fqdn, enrolment_token_id, public_key, address)
        values (${asked.fqdn}, ${token.id}, ${raw}, ${address ?? null}) returning id::float8 as id`.execute(tx.db);
        id = made.rows[0]!.id;
        if (token.auto_approve && (await mayComeIn(tx, token, asked.fqdn))) await letIn(tx, id, `enrolment token ${token.name}`);
      }
      await settle(tx);
      return getRow(tx.db, store.catalog, model, String(id));
    },
    { shared: known.rows[0].makes },
  );
}

const unknownToken = (): Problem => new Problem('bad-token', 'This enrolment token is not known here; it may have been deleted, or belong to another Corral');

/** Whether a token is for a host of this name: by its pattern, and by the site of its node where that is there. */
async function isFor({ db }: Tx, { pattern, site }: TokenRow, fqdn: string): Promise<boolean> {
  const form = new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll(/\*+/g, '.*')}$`);
  if (!form.test(fqdn)) return false;
  const { rows } = await sql<{ site: number }>`select site_id::float8 as site from node where fqdn = ${fqdn}`.execute(db);
  return site === null || rows[0] === undefined || rows[0].site === site;
}

/** A rule lets nobody in as a node that somebody else is already: that is for a person to say. */
async function mayComeIn({ db }: Tx, { node }: TokenRow, fqdn: string): Promise<boolean> {
  const { rows } = await sql<{ taken: boolean }>`select n.state = 'deactivated' or exists (select from token t where t.node_id = n.id)
    or exists (select from enrolment e where e.node_id = n.id) as taken from node n where n.fqdn = ${fqdn}`.execute(db);
  return rows[0] === undefined ? node !== null : !rows[0].taken;
}

interface EnrolmentRow {
  readonly fqdn: string;
  readonly state: string;
  readonly token: number | null;
  readonly site: number | null;
  readonly template: Values | null;
}

async function lock({ db }: Tx, id: number): Promise<EnrolmentRow> {
  const { rows } = await sql<EnrolmentRow>`select e.fqdn, e.state, e.token_id::float8 as token, t.site_id::float8 as site, t.node as template
    from enrolment e left join enrolment_token t on t.id = e.enrolment_token_id where e.id = ${id} for update of e`.execute(db);
  return rows[0]!;
}

/** Makes a host of a pending enrolment its node; who was that before is so no more. */
async function letIn(tx: Tx, id: number, by: string): Promise<void> {
  const { fqdn, state, site, template } = await lock(tx, id);
  if (state !== 'pending') throw new Problem('conflict', `This enrolment is ${state}; only one that is pending can be approved`);
  const find = async (): Promise<{ id: number; state: string } | undefined> =>
    (await sql<{ id: number; state: string }>`select id::float8 as id, state from node where fqdn = ${fqdn} for update`.execute(tx.db)).rows[0];
  let node = await find();
  if (!node && template !== null) {
    await insertRow(tx, tx.store.catalog.byNoun('node'), { ...template, fqdn, site });
    await settle(tx);
    node = await find();
  }
  if (!node) throw new Problem('conflict', `There is no node '${fqdn}'; make it first, then approve`);
  if (node.state === 'deactivated') throw new Problem('conflict', `The node ${fqdn} is deactivated; set its state to running first`);
  const before = await sql<{ id: number }>`select id::float8 as id from enrolment where node_id = ${node.id} and state = 'approved' for update`.execute(tx.db);
  for (const one of before.rows) await end(tx, one.id, 'replaced', by);
  await sql`update enrolment set state = 'approved', node_id = ${node.id}, decided_by = ${by}, decided_at = now(), version = version + 1, updated_at = now()
    where id = ${id}`.execute(tx.db);
}

/** Puts a host out, with its token. */
async function end(tx: Tx, id: number, state: 'rejected' | 'replaced', by: string): Promise<void> {
  const { token } = await lock(tx, id);
  await sql`update enrolment set state = ${state}, token_id = null, decided_by = ${by}, decided_at = now(), version = version + 1, updated_at = now()
    where id = ${id}`.execute(tx.db);
  if (token !== null) await sql`delete from token where id = ${token}`.execute(tx.db);
}

/**
 * An operator lets a host in, or not, or no more.
 * @throws Problem not-found, conflict
 */
export async function decide(store: Store, key: string, verdict: 'approve' | 'reject'): Promise<Row> {
  const model = store.catalog.byNoun('enrolment');
  return transaction(
    store,
    async (tx) => {
      const id = await idOf(tx.db, store.catalog, model, key);
      await store.rights?.permit(tx.db, model, 'update', id);
      const by = store.origin?.actor ?? 'corral';
      if (verdict === 'approve') await letIn(tx, id, by);
      else {
        const { state } = await lock(tx, id);
        if (state !== 'pending' && state !== 'approved') throw new Problem('conflict', `This enrolment is ${state} already`);
        await end(tx, id, 'rejected', by);
      }
      await settle(tx);
      return getRow(tx.db, store.catalog, model, String(id));
    },
    { shared: true },
  );
}

/** What a host gets for its proof. */
export type Exchanged =
  | { readonly state: 'pending' }
  | { readonly state: 'approved'; readonly node: string; readonly token: string; readonly expires_at: string };

/**
 * A host exchanges a proof of its key for a node token. The statement's time only goes forward, so that none is good twice.
 * @throws Problem not-found, invalid, bad-proof, forbidden
 */
export async function exchange(store: Store, uuid: string, input: unknown, { requestId }: From): Promise<Exchanged> {
  const asked = check(proofSchema as unknown as z.ZodType<Values>, input) as z.output<typeof proofSchema>;
  const missing = (): Problem => new Problem('not-found', 'There is no such enrolment; enrol anew');
  if (!z.uuid().safeParse(uuid).success) throw missing();
  const { rows } = await sql<{
    id: number;
    fqdn: string;
    public_key: Buffer;
  }>`select id::float8 as id, fqdn, public_key from enrolment where uuid = ${uuid}`.execute(store.orm.em.fork().getKysely());
  const row = rows[0];
  if (!row) throw missing();
  demandProof(keyOf(row.public_key.toString('base64')).key, tokenStatement(uuid.toLowerCase(), asked.time), asked.time, asked.proof);
  return transaction(withOrigin(store, { actor: row.fqdn, requestId }), async (tx) => {
    const noted = await sql<{ state: string; token: number | null; node: number | null }>`update enrolment set signed_at = ${asked.time}
      where id = ${row.id} and (signed_at is null or signed_at < ${asked.time}) returning state, token_id::float8 as token, node_id::float8 as node`.execute(
      tx.db,
    );
    const now = noted.rows[0];
    if (!now) throw new Problem('bad-proof', 'A statement of this time or a later one was used already; sign a new one');
    if (now.state === 'pending') return { state: 'pending' };
    if (now.state !== 'approved') throw new Problem('forbidden', `This enrolment is ${now.state}: ${row.fqdn} is let in with this key no more`);
    const token = newToken('node');
    const values = sql`${hashToken(token)}::bytea, now() + ${VALID} * interval '1 second'`;
    const made = now.token
      ? await sql<{ expires_at: Date | string }>`update token set old_hash = hash, old_until = least(expires_at, now() + ${OVERLAP} * interval '1 second'),
          (hash, expires_at) = (select ${values}), version = version + 1, updated_at = now() where id = ${now.token} returning expires_at`.execute(tx.db)
      : await sql<{
          expires_at: Date;
        }>`with made as (insert into token (name, kind, node_id, hash, expires_at) select ${`enrolment-${row.id}`}, 'node', ${now.node}, ${values}
          returning id, expires_at), kept as (update enrolment set token_id = (select id from made) where id = ${row.id}) select expires_at from made`.execute(
          tx.db,
        );
    return { state: 'approved', node: row.fqdn, token, expires_at: new Date(made.rows[0]!.expires_at).toISOString() };
  });
}
