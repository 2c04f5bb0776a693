import type pg from 'pg';
import { badToken, goodFrom, noteUse, TOKEN_COLUMNS, tokenIdentity, type BindingRow, type Identity, type TokenKind } from '../auth/identity.ts';
import { hashToken } from '../modules/control/token.verbs.ts';

/** What a request was found to be about. */
export interface Found {
  readonly identity: Identity;
  /** Undefined: no such node. */
  readonly node: FoundNode | undefined;
}

/** A node and the newest version of its document. */
export interface FoundNode {
  readonly id: number;
  readonly fqdn: string;
  readonly state: string;
  readonly manager: 'puppet' | 'salt';
  readonly version: string;
  readonly spread: number;
}

/** Who asks for what: by a token and where it comes from, or known already. */
export type Asked = { readonly fqdn: string } & ({ readonly token: string; readonly address: string | null } | { readonly identity: Identity });

type Pending = Asked & { readonly resolve: (found: Found) => void; readonly reject: (error: unknown) => void };

interface KeptToken {
  readonly id: number;
  readonly kind: TokenKind;
  readonly identity: Identity;
  /** When it ends, in milliseconds by the database's clock. */
  readonly until: number;
}

interface LookupRow {
  readonly kind: TokenKind | null;
  readonly name: string;
  readonly token_id: number;
  readonly token_node: string | null;
  readonly until: number | null;
  readonly scopes: readonly string[];
  readonly admin: boolean | null;
  readonly bindings: readonly BindingRow[] | null;
  readonly id: number | null;
  readonly fqdn: string;
  readonly state: string;
  readonly manager: 'puppet' | 'salt';
  readonly number: number;
  readonly hash: string;
  readonly wave: number;
}

const LOOKUP = `select t.id::float8 as token_id, t.kind, t.name, tn.fqdn as token_node, ${TOKEN_COLUMNS},
    (extract(epoch from least(t.expires_at, case when t.hash <> i.hash then t.old_until end)) * 1000)::float8 as until,
    n.id::float8 as id, n.fqdn, n.state, n.manager, d.number, d.hash, d.wave
  from unnest($1::bytea[], $2::text[], $3::text[]) with ordinality as i (hash, fqdn, address, ord)
  left join token t on t.id = token_of(i.hash) and ${goodFrom('i.address')} left join node tn on tn.id = t.node_id
  left join node n on n.fqdn = i.fqdn left join document d on d.node_id = n.id order by i.ord`;

interface NewsRow {
  readonly snapshot: string;
  readonly server: string;
  readonly now: number;
  readonly gone: readonly (readonly [node: number | null, token: number | null])[] | null;
}

/*
 * What became wrong since a snapshot: all of transactions that it does not see, those that began after it and those
 * that were under way. `server` is another one after a failover, a restart or a restored backup, where numbers of
 * transactions may mean others.
 */
const NEWS = `select pg_current_snapshot()::text as snapshot, (extract(epoch from now()) * 1000)::float8 as now,
  concat_ws(' ', pg_postmaster_start_time(), (select oid from pg_database where datname = current_database()), 'invalidation'::regclass::oid) as server,
  (select json_agg(json_build_array(node_id, token_id)) from (select distinct node_id, token_id from invalidation
    where xid >= pg_snapshot_xmax($1::pg_snapshot) or xid = any (array(select pg_snapshot_xip($1::pg_snapshot)))) i) as gone`;

/** Most questions in one statement. */
const BATCH = 256;
/** Most tokens, and most nodes, that are kept. */
const KEPT = 100_000;
/** Milliseconds after which nothing is kept of a process that asked nothing: rows of `invalidation` stay for longer. */
const STALE = 5 * 60_000;

/** Seconds that a row of `invalidation` stays at least after its transaction is over. */
const ROWS_STAY = 600;

/**
 * Finds out whom a token belongs to, and which version of its document a node has. What was found is kept, and is
 * checked against the database with each question: requests that come at the same time share one small statement. So
 * every process answers with what was committed, at any process, before it was asked.
 */
export class Lookup {
  readonly #pool: pg.Pool;
  readonly #spread: (wave: number) => number;
  readonly #tokens = new Map<string, KeptToken>();
  readonly #nodes = new Map<string, FoundNode>();
  /** Names of the kept nodes. */
  readonly #names = new Map<number, string>();
  #pending: Pending[] = [];
  #busy = false;
  /** What the kept was read after; null while nothing is kept. */
  #snapshot: string | null = null;
  #server = '';
  /** The database's clock, and ours, at the last answer. */
  #now = 0;
  #at = 0;

  /** @param spread seconds over which hosts start of which so many have a new document */
  constructor(pool: pg.Pool, spread: (wave: number) => number) {
    this.#pool = pool;
    this.#spread = spread;
  }

  /** @throws Problem bad-token */
  find(asked: Asked): Promise<Found> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ ...asked, resolve, reject });
      if (this.#busy) return;
      this.#busy = true;
      setImmediate(() => void this.#work());
    });
  }

  async #work(): Promise<void> {
    while (this.#pending.length > 0) {
      const batch = this.#pending;
      this.#pending = [];
      // oxlint-disable-next-line no-await-in-loop -- what comes meanwhile must ask anew, and shares the next question
      await this.#answer(batch);
    }
    this.#busy = false;
  }

  async #answer(batch: readonly Pending[]): Promise<void> {
    let missing: Pending[] = [];
    try {
      await this.#hear();
      missing = batch.filter((one) => !this.#known(one));
    } catch (error) {
      this.#forget();
      for (const one of batch) one.reject(error);
      return;
    }
    for (let at = 0; at < missing.length; at += BATCH) {
      const part = missing.slice(at, at + BATCH);
      try {
        // oxlint-disable-next-line no-await-in-loop -- before the next news, or what they say would come too early
        await this.#lookup(part);
      } catch (error) {
        for (const one of part) one.reject(error);
      }
    }
  }

  /** Drops what is not so any more. */
  async #hear(): Promise<void> {
    const { rows } = await this.#pool.query<NewsRow>({ name: 'news', text: NEWS, values: [this.#snapshot] });
    const { snapshot, server, now, gone } = rows[0]!;
    const at = performance.now();
    if (server !== this.#server || Math.abs(now - this.#now) > STALE || at - this.#at > STALE) this.#forget();
    else if (gone) this.#drop(gone);
    [this.#snapshot, this.#server, this.#now, this.#at] = [snapshot, server, now, at];
  }

  #drop(gone: NonNullable<NewsRow['gone']>): void {
    const tokens = new Set<number>();
    for (const [node, token] of gone) {
      if (token !== null) tokens.add(token);
      else if (node === null) return this.#forget();
      else {
        const name = this.#names.get(node);
        this.#names.delete(node);
        if (name !== undefined) this.#nodes.delete(name);
      }
    }
    if (tokens.size > 0) for (const [key, { id }] of this.#tokens) if (tokens.has(id)) this.#tokens.delete(key);
  }

  #forget(): void {
    this.#tokens.clear();
    this.#nodes.clear();
    this.#names.clear();
    this.#snapshot = null;
    this.#server = '';
  }

  /** Answers from what is kept. Who may not read a document does not learn by the time whether there is one. */
  #known(one: Pending): boolean {
    const token = 'identity' in one ? undefined : this.#tokens.get(keyOf(one));
    if (token && token.until <= this.#now) return false;
    const identity = 'identity' in one ? one.identity : token?.identity;
    const node = this.#nodes.get(one.fqdn);
    if (!identity || (!node && mayRead(identity, one.fqdn))) return false;
    if (token && 'address' in one) noteUse(this.#pool, token.id, token.kind, one.address ?? undefined);
    one.resolve({ identity, node });
    return true;
  }

  /** Asks the database, and keeps what there is; what there is not may be made at any time. */
  async #lookup(part: readonly Pending[]): Promise<void> {
    const asked = new Map<string, { hash: Buffer | null; fqdn: string; address: string | null; all: Pending[] }>();
    for (const one of part) {
      const who = 'identity' in one ? '' : keyOf(one);
      const key = `${one.fqdn} ${who}`;
      const same = asked.get(key);
      if (same) same.all.push(one);
      else
        asked.set(key, {
          ...('identity' in one ? { hash: null, address: null } : { hash: hashToken(one.token), address: one.address }),
          fqdn: one.fqdn,
          all: [one],
        });
    }
    const questions = [...asked.values()];
    const { rows } = await this.#pool.query<LookupRow>({
      name: 'lookup',
      text: LOOKUP,
      values: [questions.map((one) => one.hash), questions.map((one) => one.fqdn), questions.map((one) => one.address)],
    });
    for (const [i, { all }] of questions.entries()) {
      const row = rows[i]!;
      const node = this.#keepNode(row);
      for (const one of all) {
        const identity = 'identity' in one ? one.identity : this.#keepToken(one, row);
        if (identity) one.resolve({ identity, node });
        else one.reject(badToken());
      }
    }
  }

  #keepNode({ id, fqdn, state, manager, number, hash, wave }: LookupRow): FoundNode | undefined {
    if (id === null) return undefined;
    const node = { id, fqdn, state, manager, version: `${number}-${hash}`, spread: this.#spread(wave) };
    if (this.#nodes.size >= KEPT) {
      this.#nodes.clear();
      this.#names.clear();
    }
    this.#nodes.set(fqdn, node);
    this.#names.set(id, fqdn);
    return node;
  }

  #keepToken(one: { readonly token: string; readonly address: string | null }, row: LookupRow): Identity | undefined {
    if (row.kind === null) return undefined;
    const { token_id: id, kind } = row;
    const identity = tokenIdentity({ ...row, id, kind, node: row.token_node });
    noteUse(this.#pool, id, kind, one.address ?? undefined);
    if (this.#tokens.size >= KEPT) this.#tokens.clear();
    this.#tokens.set(keyOf(one), { id, kind, identity, until: row.until ?? Number.POSITIVE_INFINITY });
    return identity;
  }
}

const mayRead = (identity: Identity, fqdn: string): boolean =>
  identity.kind === 'node' ? identity.node === fqdn : identity.rights.mayEverywhere('document:read');

/** A token may be good from some addresses only. No token has a space. */
const keyOf = ({ token, address }: { readonly token: string; readonly address: string | null }): string => `${token} ${address ?? ''}`;

/**
 * Clears rows of `invalidation` now and then, for as long as a process serves.
 * @returns ends it
 */
export function keepPruning(
  pool: pg.Pool,
  warn: (message: string, error?: unknown) => void,
  { every = ROWS_STAY * 1000, stay = ROWS_STAY } = {},
): () => Promise<void> {
  let running: Promise<unknown> = Promise.resolve();
  /* What was over when we looked, and when that was, by the database's clock. */
  let over: { readonly xmin: string; readonly at: number } | undefined;
  const prune = async (): Promise<void> => {
    const { rows } = await pool.query<{ xmin: string; at: number }>(
      'select pg_snapshot_xmin(pg_current_snapshot())::text as xmin, extract(epoch from clock_timestamp())::float8 as at',
    );
    const now = rows[0]!;
    if (over && now.at < over.at + stay) return;
    if (over) await pool.query('delete from invalidation where xid < $1::xid8', [over.xmin]);
    over = now;
  };
  const run = (): void => {
    running = prune().catch((error: unknown) => {
      over = undefined;
      warn('old rows of invalidation could not be cleared; it is tried again', error);
    });
  };
  run();
  const timer = setInterval(run, every).unref();
  return async () => {
    clearInterval(timer);
    await running;
  };
}
