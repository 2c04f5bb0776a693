import { sql } from 'kysely';
import { fieldSql, keySql, type Catalog, type Field, type Model } from '../db/catalog.ts';
import type { Db } from '../db/read.ts';
import type { Values } from '../db/transaction.ts';

/** A thing that rows of a fleet file may name: there already, or to be made by the import. */
export interface Target {
  /** Undefined until it is made. */
  id: number | undefined;
  /** Its natural key, as text. */
  readonly key: string;
}

/**
 * What else a row is known by, beside its natural key, for nouns whose key may be left out. Names of
 * virtual machines may be used twice; then they identify none.
 */
const otherIdentities: Readonly<Record<string, readonly (readonly string[])[]>> = {
  vm: [['name']],
  vm_interface: [['vm', 'number'], ['mac']],
  volume: [['vm', 'number']],
  ceph_osd: [['ceph_osd_node', 'data_device']],
};

export const identitiesOf = (model: Model): readonly (readonly string[])[] => otherIdentities[model.resource.noun] ?? [];

const AMBIGUOUS = Symbol('ambiguous');

/** All things that can be named, by noun: those of the database, and those that the file adds. */
export class Keys {
  readonly #catalog: Catalog;
  readonly #byKey = new Map<string, Map<string, Target>>();
  readonly #byId = new Map<string, Map<number, Target>>();
  readonly #byOther = new Map<string, Map<string, Target | typeof AMBIGUOUS>>();

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /** Reads the keys of a noun that the database has; once for each noun. */
  async load(db: Db, model: Model): Promise<void> {
    const { noun } = model.resource;
    if (this.#byKey.has(noun)) return;
    this.#byKey.set(noun, new Map());
    this.#byId.set(noun, new Map());
    this.#byOther.set(noun, new Map());
    const others = identitiesOf(model).map((names) => sql`json_build_array(${sql.join(names.map((name) => fieldSql(this.#catalog, model.field.get(name)!)))})`);
    const { rows } = await sql<{
      id: string;
      key: string;
      others: unknown[][];
    }>`select ${sql.id('t')}.${sql.id(model.pk)} as id, ${keySql(this.#catalog, model, 't')} as key,
      json_build_array(${sql.join(others)}) as others from ${sql.id(model.table)} as t`.execute(db);
    for (const row of rows) {
      const target: Target = { id: Number(row.id), key: row.key };
      this.add(model, target);
      for (const [i, values] of row.others.entries()) if (!values.includes(null)) this.#addOther(model, i, values.map(String), target);
    }
  }

  /** Makes a thing known; `input` gives what else it is known by. */
  add(model: Model, target: Target, input?: Values): void {
    this.#byKey.get(model.resource.noun)!.set(target.key, target);
    if (target.id !== undefined) this.#byId.get(model.resource.noun)!.set(target.id, target);
    if (!input) return;
    for (const [i, names] of identitiesOf(model).entries()) {
      const values = this.valuesOf(model, names, input);
      if (values) this.#addOther(model, i, values, target);
    }
  }

  #addOther(model: Model, index: number, values: readonly string[], target: Target): void {
    const map = this.#byOther.get(model.resource.noun)!;
    const key = `${index}\0${values.join('\0')}`;
    const known = map.get(key);
    map.set(key, known === undefined || known === target ? target : AMBIGUOUS);
  }

  /** What a reference names: an id, or a natural key. */
  find(model: Model, ref: unknown): Target | undefined {
    const { noun } = model.resource;
    if (typeof ref === 'number' || /^\d{1,15}$/.test(String(ref))) return this.#byId.get(noun)?.get(Number(ref));
    return this.#byKey.get(noun)?.get(String(ref)) ?? this.#byKey.get(noun)?.get(String(ref).toLowerCase());
  }

  byId(model: Model, id: number): Target | undefined {
    return this.#byId.get(model.resource.noun)?.get(id);
  }

  byKey(model: Model, key: string): Target | undefined {
    return this.#byKey.get(model.resource.noun)?.get(key);
  }

  /** The thing that a row is about by anything but its natural key; 'ambiguous' when there are several. */
  byOther(model: Model, input: Values): Target | 'ambiguous' | undefined {
    for (const [i, names] of identitiesOf(model).entries()) {
      const values = this.valuesOf(model, names, input);
      const found = values && this.#byOther.get(model.resource.noun)!.get(`${i}\0${values.join('\0')}`);
      if (found !== undefined) return found === AMBIGUOUS ? 'ambiguous' : found;
    }
    return undefined;
  }

  /** The values of these fields as the database writes them, or undefined when one is missing or wrong. */
  valuesOf(model: Model, names: readonly string[], input: Values): string[] | undefined {
    const out: string[] = [];
    for (const name of names) {
      const value = this.#textOf(model.field.get(name)!, input[name]);
      if (value === undefined) return undefined;
      out.push(value);
    }
    return out;
  }

  #textOf(field: Field, value: unknown): string | undefined {
    if (value == null || field.readOnly) return undefined;
    if (field.ref !== undefined) return this.find(this.#catalog.byNoun(field.ref), value)?.key;
    const parsed = field.schema.safeParse(value);
    return parsed.success ? plainAddress(String(parsed.data)) : undefined;
  }
}

/** PostgreSQL writes the address of a single host without its prefix length. */
export function plainAddress(text: string): string {
  return /^[0-9.]+\/32$|^[0-9a-f:.]+\/128$/.test(text) ? text.slice(0, text.lastIndexOf('/')) : text;
}
