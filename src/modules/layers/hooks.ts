import { sql } from 'kysely';
import { invalid } from '../../db/check.ts';
import type { Hooks, Tx, Values as Input } from '../../db/transaction.ts';
import { checkConflicts, checkDropped } from './conflicts.ts';
import { nodesOfLayers } from './reach.ts';
import { layerFaults, targetFaults } from './rules.ts';
import { checkSelector } from './selector.ts';
import { readLayers, sealSecrets, type StoredLayer } from './stored.ts';
import { sameValue, targetFields, type Layer, type Scope, type Value, type Values } from './types.ts';

/** Strategies that an update took away, until it is stored. */
const dropped = new WeakMap<Tx, string[]>();

async function layerOf(tx: Tx, id: number): Promise<StoredLayer> {
  return (await readLayers(tx.db, tx.store.secrets, sql`l.id = ${id}`))[0]!;
}

/** The documents of the nodes that these layers reach now. */
async function touchReach(tx: Tx, layers: readonly number[]): Promise<void> {
  for (const node of await nodesOfLayers(tx.db, tx.store.catalog, layers)) tx.touched.add(node);
}

/** @throws Problem invalid */
function refuse(scope: Scope, targets: Input, layer: Pick<Layer, 'data' | 'merge' | 'secrets'>, schema: Values | null): void {
  const faults = [...targetFaults(scope, targets), ...layerFaults({ scope, ...layer }, schema)];
  if (faults.length > 0) throw invalid(faults);
}

const withoutNull = (secrets: Values): Values => Object.fromEntries(Object.entries(secrets).filter(([, value]) => value !== null));
const mapping = (value: unknown): Values => (value ?? {}) as Values;

/** A layer that is there from now on. */
async function arrived(tx: Tx, id: number): Promise<void> {
  await checkConflicts(tx, await layerOf(tx, id));
  await touchReach(tx, [id]);
}

export const layerHooks: Hooks = {
  prepare: async (tx, input) => {
    /* The id is part of what secrets are sealed with, so it is taken before the row is made. */
    const id = (input['id'] as number | undefined) ?? Number((await sql<{ id: string }>`select next_id('layer_id_seq') as id`.execute(tx.db)).rows[0]!.id);
    const secrets = withoutNull(mapping(input['secrets']));
    const merge = (input['merge'] ?? {}) as Layer['merge'];
    refuse(input['scope'] as Scope, input, { data: mapping(input['data']), merge, secrets }, (input['schema'] ?? null) as Values | null);
    return { ...input, id, secrets: sealSecrets(tx.store.secrets, id, secrets) };
  },
  created: async (tx, id) => {
    await arrived(tx, id);
    return undefined;
  },
  restored: arrived,
  change: async (tx, id, patch) => {
    await touchReach(tx, [id]);
    const now = await layerOf(tx, id);
    const stored = withTarget(now, patch);
    const scope = (stored['scope'] ?? now.scope) as Scope;
    const secrets = patch['secrets'] === undefined ? now.secrets : withoutNull({ ...now.secrets, ...mapping(patch['secrets']) });
    const merge = (stored['merge'] ?? now.merge) as Layer['merge'];
    const schema = stored['schema'] === undefined ? now.schema : (stored['schema'] as Values | null);
    refuse(
      scope,
      scope === now.scope ? { [targetFields[scope] ?? '']: now.target, ...stored } : stored,
      { data: mapping(stored['data'] ?? now.data), merge, secrets },
      schema,
    );
    dropped.set(
      tx,
      Object.keys(now.merge).filter((key) => !Object.hasOwn(merge, key)),
    );
    delete stored['secrets'];
    return sameValue(secrets, now.secrets) ? stored : { ...stored, secrets: resealed(tx, now, secrets) };
  },
  changed: async (tx, id) => {
    await checkConflicts(tx, await layerOf(tx, id), dropped.get(tx));
    dropped.delete(tx);
    await touchReach(tx, [id]);
  },
  deleting: async (tx, id) => {
    await touchReach(tx, [id]);
    const { merge } = await layerOf(tx, id);
    await checkDropped(tx, Object.keys(merge), id);
  },
};

/** A new scope leaves behind what the old one was attached to. */
function withTarget(now: StoredLayer, patch: Input): Input {
  const scope = patch['scope'] as Scope | undefined;
  const old = targetFields[now.scope];
  if (scope === undefined || scope === now.scope || old === undefined || old === targetFields[scope]) return { ...patch };
  return { [old]: null, ...patch };
}

/** Only what differs is sealed anew: the same value under another nonce would be a change. */
function resealed(tx: Tx, now: StoredLayer, secrets: Values): Record<string, string> {
  const same = ([key, value]: [string, Value]): boolean => Object.hasOwn(now.secrets, key) && sameValue(now.secrets[key]!, value);
  const entries = Object.entries(secrets);
  return {
    ...Object.fromEntries(entries.filter(same).map(([key]) => [key, now.sealed[key]!])),
    ...sealSecrets(tx.store.secrets, now.id, Object.fromEntries(entries.filter((one) => !same(one)))),
  };
}

async function layersOfGroup(tx: Tx, group: number): Promise<StoredLayer[]> {
  return readLayers(tx.db, tx.store.secrets, sql`l.node_group_id = ${group}`);
}

export const nodeGroupHooks: Hooks = {
  prepare: async (tx, input) => {
    await checkSelector(tx.db, tx.store.catalog, input['selector'] as string);
    return input;
  },
  change: async (tx, id, patch) => {
    if (patch['selector'] === undefined) return patch;
    /* What is brought back may name what has gone since: it chose nobody then, too. */
    if (tx.store.origin?.reverts === undefined) await checkSelector(tx.db, tx.store.catalog, patch['selector'] as string);
    await touchReach(
      tx,
      (await layersOfGroup(tx, id)).map((one) => one.id),
    );
    return patch;
  },
  changed: async (tx, id, patch) => {
    if (patch['selector'] === undefined) return;
    const layers = await layersOfGroup(tx, id);
    for (const one of layers) await checkConflicts(tx, one);
    await touchReach(
      tx,
      layers.map((one) => one.id),
    );
  },
};
