import { sql } from 'kysely';
import { redact } from '../changes/redact.ts';
import type { Catalog } from '../db/catalog.ts';
import { idOf, type Db } from '../db/read.ts';
import type { DocumentBody } from '../documents/document.ts';
import { traceLayers, type Layer } from '../documents/layers.ts';
import { loadLayers } from '../documents/layers.load.ts';
import { unknownClasses } from '../documents/class-lists.load.ts';
import { openBody } from '../documents/rebuild.load.ts';
import { Problem } from '../kernel/problem.ts';
import type { SecretBox } from '../kernel/secret.ts';
import { beyondOf } from './beyond.load.ts';
import { changesOf } from './changes.load.ts';
import { choose, dig, explainValue, nameOf, SECRET, tracedAs, type Beyond, type Chosen, type Setting } from './explain.ts';
import { near } from './near.ts';
import { valuesOf, type Placed } from './places.ts';
import { because, scopeText, type Reached } from './reach.ts';
import { sinceOf } from './since.load.ts';
import type { Explanation, LayerNote } from './types.ts';

/** Versions of the document that are looked at, of all values and of one. */
const VERSIONS = 20;
const VERSIONS_OF_ONE = 200;

interface Head {
  readonly fqdn: string;
  readonly manager: 'puppet' | 'salt';
  readonly state: string;
  readonly number: number;
  readonly hash: string;
  readonly body: DocumentBody;
  readonly groups: Readonly<Record<string, string>> | null;
}

interface Context {
  readonly db: Db;
  readonly catalog: Catalog;
  readonly secrets: SecretBox;
}

/**
 * Where the values of a node's documents come from: all of them, or those of one key.
 * @param node its fqdn or id
 * @throws Problem not-found, for the key with names that are near; gone
 */
export async function explain(context: Context, node: string, key?: string): Promise<Explanation> {
  /* One snapshot: the document, the layers and the changes belong together. */
  return context.db
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute((db) => explainIn({ ...context, db }, node, key));
}

async function explainIn({ db, catalog, secrets }: Context, asked: string, key: string | undefined): Promise<Explanation> {
  const id = await idOf(db, catalog, catalog.byNoun('node'), asked);
  const { rows } =
    await sql<Head>`select n.fqdn, n.manager, n.state, d.number, d.hash, v.body, (select json_object_agg(g.name, g.selector) from node_group g) as groups
    from node n join document d on d.node_id = n.id join document_version v on v.node_id = d.node_id and v.number = d.number where n.id = ${id}`.execute(db);
  const { fqdn, manager, state, number, hash, body: stored, groups } = rows[0]!;
  if (state === 'deactivated')
    throw new Problem('gone', `The node ${fqdn} is deactivated and is served no document; set its state to running to serve it again`);
  const version = `${number}-${hash}`;
  const body = openBody(secrets, id, stored);
  const layers = (await loadLayers(db, catalog, secrets, [id])).get(id) ?? [];
  const reached = reachedOf(body, groups ?? {});
  const reaching = layers.map((layer) => noteOf(reached, layer, true));
  /* Some keys are in the pillar alone. */
  const all = hidden(valuesOf(redact(body), version), body).filter(
    ({ places }) => manager === 'salt' || places.enc !== undefined || places.hiera !== undefined,
  );
  const chosen = key === undefined ? all.map((placed): Chosen => ({ placed, path: [] })) : choose(all, key);
  const beyond = key === undefined ? [] : await beyondOf(db, namesOf(chosen, key), layers, (layer) => noteOf(reached, layer, false));
  if (chosen.length === 0) throw unknown(fqdn, key!, all, beyond);
  const clear = new Map(valuesOf(body, version).map((one) => [nameOf(one), one]));
  const traces = new Map(traceLayers(layers).map((trace) => [nameOf(tracedAs(trace)), trace]));
  const settings = [...chosen.flatMap(({ placed }) => givenBy(placed, traces)), ...beyond];
  const values = chosen.map(({ placed, path }): Chosen => ({ placed: clear.get(nameOf(placed))!, path }));
  const known = {
    manager,
    reaching,
    beyond,
    unknown: manager === 'puppet' ? await unknownClasses(db, String(body['environment']), classesOf(layers)) : new Set<string>(),
    changes: await changesOf(db, settings),
    since: await sinceOf(db, secrets, id, number, values, key === undefined ? VERSIONS : VERSIONS_OF_ONE),
  };
  return {
    node: fqdn,
    version,
    manager,
    ...(key === undefined ? {} : { key }),
    layers: reaching,
    values: chosen.map((one) => explainValue(one, one.placed.from ? undefined : traces.get(nameOf(one.placed)), all, known)),
  };
}

function reachedOf(body: DocumentBody, groups: Readonly<Record<string, string>>): Reached {
  const { site, environment, roles } = body;
  return { site: String(site), environment: String(environment), roles: Array.isArray(roles) ? roles.map(String) : [], groups };
}

function noteOf(reached: Reached, layer: Pick<Layer, 'name' | 'scope' | 'target' | 'weight'>, reaches: boolean): LayerNote {
  const { name, scope, target, weight } = layer;
  return { layer: name, scope, target, weight, reaches, because: because(reached, layer, reaches) };
}

function givenBy(placed: Placed, traces: ReadonlyMap<string, ReturnType<typeof traceLayers>[number]>): Setting[] {
  const { kind, key } = placed;
  return (traces.get(nameOf(placed))?.layers ?? []).filter(({ outcome }) => outcome !== 'silent').map(({ id }) => ({ layer: id, kind, key }));
}

const classesOf = (layers: readonly Layer[]): string[] => [...new Set(layers.flatMap(({ classes }) => Object.keys(classes)))];

/** The keys that layers beyond reach may set: those found, or what was asked for, with and without a path. */
function namesOf(chosen: readonly Chosen[], key: string): string[] {
  return chosen.length > 0 ? [...new Set(chosen.map(({ placed }) => placed.key))] : [...new Set([key, key.split('.')[0]!])];
}

/** Says what may have been meant, and which layers would set it if they reached the node. */
function unknown(node: string, key: string, all: readonly Placed[], beyond: readonly Beyond[]): Problem {
  const shown = key.length > 200 ? `${key.slice(0, 200)}…` : key;
  const [first = '', ...path] = key.split('.');
  const inside = path.length === 0 ? undefined : all.find((one) => one.key === first);
  const above = [first, ...path.slice(0, -1)];
  const likely = inside
    ? near(path.at(-1)!, namesBelow(dig(inside.value, path.slice(0, -1)))).map((name) => [...above, name].join('.'))
    : near(
        key,
        all.map((one) => one.key),
      );
  const layers = beyond.map(({ note }) => note);
  const sets = layers.slice(0, 3).map((one) => `The layer ${one.layer} (${scopeText(one)}) sets it and does not reach this node: ${one.because}.`);
  const what = likely.length > 0 ? `Names like it: ${likely.join(', ')}.` : sets.length > 0 ? '' : `GET /nodes/${node}/explain lists what there is.`;
  return new Problem('not-found', [`The documents of ${node} have no value '${shown}'.`, ...sets, what].filter(Boolean).join(' '), {
    extra: { near: likely, ...(layers.length > 0 ? { layers } : {}) },
  });
}

/** The keys of what is there. */
function namesBelow(value: unknown): string[] {
  return typeof value === 'object' && value !== null ? Object.keys(value) : [];
}

/** Keys with secrets have no inside: the names in it are nobody's business either. */
function hidden(all: readonly Placed[], body: DocumentBody): Placed[] {
  const secret = new Set(Array.isArray(body['secret_keys']) ? body['secret_keys'].map(String) : []);
  return all.map((one) => (one.kind === 'data' && one.from === undefined && secret.has(one.key) ? { ...one, value: SECRET } : one));
}
