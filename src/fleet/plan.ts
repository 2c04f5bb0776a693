import { z } from 'zod';
import type { Catalog, Model } from '../db/catalog.ts';
import type { Values } from '../db/transaction.ts';
import { pointer, type Fault } from '../kernel/problem.ts';
import { vmExtras } from '../modules/vms/vm-extras.ts';
import { gather, uuidFor, type FileRow } from './fleet-file.ts';
import { identitiesOf, type Keys, type Target } from './keys.ts';

/** A checked row: what it is about, and its fields with references resolved. */
export interface Planned extends FileRow {
  readonly target: Target;
  /** Wire fields; a reference is the Target that it names. */
  readonly values: Values;
  /** The database has it: it is compared, and changed where it differs. */
  readonly existing: boolean;
  /** A virtual machine that the verb makes: host, disks, cards and addresses are filled in. */
  readonly placed: boolean;
  /** Its disks that have a name, for rows that name them. */
  readonly disks: readonly Target[];
}

interface Checked extends Omit<Planned, 'values'> {
  readonly parsed: Values;
}

/** The rows of one plan, by noun in order, and every fault of the file that can be found without writing. */
export interface Plan {
  readonly rows: ReadonlyMap<Model, Planned[]>;
  readonly faults: readonly Fault[];
}

/**
 * Checks all rows against their schemas, finds which are there already, and resolves what they name.
 * @param keys of the database; those of the file are added
 */
export function planRows(catalog: Catalog, file: Map<Model, FileRow[]>, keys: Keys): Plan {
  const planner = new Planner(catalog, file, keys);
  const rows = new Map<Model, Planned[]>();
  for (const model of catalog.models) rows.set(model, planner.plan(model));
  return { rows, faults: planner.faults };
}

class Planner {
  readonly faults: Fault[] = [];
  readonly #catalog: Catalog;
  readonly #file: Map<Model, FileRow[]>;
  readonly #keys: Keys;
  readonly #seen = new Map<Target, FileRow>();
  readonly #anonymous = new Map<string, number>();
  readonly #vmsWith: { readonly disks: Set<string>; readonly cards: Set<string> };
  readonly #nodesWithRole: Set<string>;

  constructor(catalog: Catalog, file: Map<Model, FileRow[]>, keys: Keys) {
    this.#catalog = catalog;
    this.#file = file;
    this.#keys = keys;
    const named = (noun: string, field: string): Set<string> =>
      new Set((file.get(catalog.byNoun(noun)) ?? []).map((row) => String(row.input[field]).toLowerCase()));
    this.#vmsWith = { disks: named('volume', 'vm'), cards: named('vm_interface', 'vm') };
    this.#nodesWithRole = new Set(['hypervisor', 'ceph_mon_node', 'ceph_osd_node'].flatMap((noun) => [...named(noun, 'node')]));
  }

  plan(model: Model): Planned[] {
    const checked: Checked[] = [];
    for (const row of this.#file.get(model) ?? []) {
      const one = this.#check(model, row);
      if (one) checked.push(one);
    }
    return checked.map(({ parsed, ...row }) => ({ ...row, values: this.#resolve(model, row, parsed) }));
  }

  #fault(row: FileRow, field: string | undefined, message: string): undefined {
    this.faults.push({ pointer: pointer(field === undefined ? row.at : [...row.at, field]), message });
    return undefined;
  }

  #check(model: Model, row: FileRow): Checked | undefined {
    const { input } = row;
    if (model.resource.noun === 'vm' && input['uuid'] == null) {
      const known = input['name'] == null ? undefined : this.#keys.byOther(model, input);
      if (known === 'ambiguous') return this.#fault(row, 'uuid', 'is needed: several virtual machines have this name');
      input['uuid'] = known?.key ?? uuidFor(input, this.#anonymous);
    }
    const found = this.#find(model, input);
    if (found === 'ambiguous') return this.#fault(row, undefined, 'could be several things; give its key');
    const first = found && this.#seen.get(found);
    if (first) return this.#fault(row, undefined, `is in the file twice: ${pointer(first.at)} is the same`);
    const existing = found !== undefined;
    const listed = !existing && this.#isListed(model, row);
    const nested = existing ? this.#takeNested(model, row) : undefined;
    if (model.resource.noun === 'node' && !existing && this.#nodesWithRole.has(String(input['fqdn']))) input['roles'] ??= {};
    const parsed = gather(existing ? model.updateSchema : model.createSchema, row, this.faults);
    const target = found ?? this.#newTarget(model, row, parsed !== undefined);
    if (!target) return undefined;
    this.#seen.set(target, row);
    if (!parsed) return undefined;
    if (!this.#checkKept(model, row, target, existing, listed)) return undefined;
    if (nested) this.#spread(row, target, nested);
    if (model.resource.noun === 'node' && !existing && !this.#nodesWithRole.has(String(input['fqdn']))) {
      return this.#fault(row, 'roles', 'must name at least one role: hypervisor, ceph_mon or ceph_osd');
    }
    for (const name of Object.keys(model.parts)) delete parsed[name];
    const placed = model.resource.noun === 'vm' && !existing && !listed;
    return { ...row, target, existing, parsed, placed, disks: placed ? this.#newDisks(row) : [] };
  }

  #find(model: Model, input: Values): Target | 'ambiguous' | undefined {
    const values = this.#keys.valuesOf(model, model.resource.key, input);
    const byKey = values && this.#keys.byKey(model, values.join(':'));
    /* A name identifies a virtual machine only where there is no uuid. */
    return byKey ?? (values ? undefined : this.#keys.byOther(model, input));
  }

  #newTarget(model: Model, row: FileRow, good: boolean): Target | undefined {
    const { input, kept } = row;
    let key = this.#keys.valuesOf(model, model.resource.key, input)?.join(':');
    if (model.resource.noun === 'vm_interface') {
      const vm = this.#keys.find(this.#catalog.byNoun('vm'), input['vm']);
      if (good && input['number'] == null) return this.#fault(row, 'number', 'is needed in a fleet file, so that importing it again finds the same one');
      if (vm) key = `${vm.id ?? `new ${vm.key}`}-${String(input['number'])}`;
    }
    if (key === undefined) {
      const known = identitiesOf(model).some((names) => names.every((name) => input[name] != null));
      const bad = known ? [] : model.resource.key.filter((name) => !model.field.get(name)!.readOnly && input[name] == null);
      if (good && bad.length > 0) for (const name of bad) this.#fault(row, name, 'is needed in a fleet file, so that importing it again finds the same one');
      /* A key that names what is not there is told of as a reference. */
      if (!good || bad.length > 0) return undefined;
      key = `unresolved ${pointer(row.at)}`;
    }
    const id = typeof kept['id'] === 'number' ? kept['id'] : undefined;
    const taken = id === undefined ? undefined : this.#keys.byId(model, id);
    const target: Target = { id: taken ? undefined : id, key };
    /* Known even where it is refused, so that rows that name it are not told of as well. */
    this.#keys.add(model, target, input);
    if (taken)
      return this.#fault(
        row,
        'id',
        `belongs to another ${model.resource.title.toLowerCase()}, '${taken.key}'; import into an empty database, or leave the ids out`,
      );
    return target;
  }

  /** Whether the file lists the disks and cards of a new virtual machine by themselves, as an export does. */
  #isListed(model: Model, { input, kept }: FileRow): boolean {
    if (model.resource.noun !== 'vm') return false;
    const names = [String(input['uuid']).toLowerCase(), ...(kept['id'] === undefined ? [] : [String(kept['id'])])];
    return names.some((name) => this.#vmsWith.disks.has(name)) && names.some((name) => this.#vmsWith.cards.has(name));
  }

  #checkKept(model: Model, row: FileRow, target: Target, existing: boolean, listed: boolean): boolean {
    const before = this.faults.length;
    const { input, kept } = row;
    if (existing && kept['id'] !== undefined && kept['id'] !== target.id)
      this.#fault(row, 'id', `is ${target.id ?? 'another'} here and cannot be changed; leave the ids out`);
    if (model.resource.noun === 'vm' && !existing) {
      if (!listed && kept['id'] !== undefined)
        this.#fault(row, 'id', 'is for a virtual machine whose disks are listed under volumes and whose cards under vm_interfaces');
      if (listed && input['hypervisor'] == null) this.#fault(row, 'hypervisor', 'is needed where the disks and cards are listed by themselves');
      for (const name of Object.keys(vmExtras))
        if (listed && input[name] !== undefined) this.#fault(row, name, 'cannot be given where the disks and cards are listed by themselves');
    }
    return this.faults.length === before;
  }

  /** Takes what only a creation knows out of the row of a virtual machine that is there. */
  #takeNested(model: Model, row: FileRow): Values | undefined {
    if (model.resource.noun !== 'vm') return undefined;
    const nested: Values = {};
    for (const [name, schema] of Object.entries(vmExtras)) {
      if (!Object.hasOwn(row.input, name)) continue;
      const parsed = (schema as z.ZodType).safeParse(row.input[name]);
      if (parsed.success) nested[name] = parsed.data;
      else
        for (const issue of parsed.error.issues)
          this.faults.push({ pointer: pointer([...row.at, name, ...issue.path]), message: issue.message.replace(/^Invalid input: /, '') });
      delete row.input[name];
    }
    return nested;
  }

  /** Makes the disks known that a new virtual machine comes with. */
  #newDisks({ input, at }: FileRow): Target[] {
    const model = this.#catalog.byNoun('volume');
    const disks: Target[] = [];
    for (const [i, disk] of ((input['volumes'] as Values[] | undefined) ?? []).entries()) {
      const name = disk['name'];
      if (typeof name !== 'string') continue;
      if (this.#keys.byKey(model, name)) this.faults.push({ pointer: pointer([...at, 'volumes', i, 'name']), message: 'another volume has this name already' });
      const target: Target = { id: undefined, key: name };
      this.#keys.add(model, target);
      this.#seen.set(target, { model, at: [...at, 'volumes', i], input: disk, kept: {} });
      disks.push(target);
    }
    return disks;
  }

  /** Disks and cards of a virtual machine that is there, by their numbers, as rows of their own. */
  #spread(row: FileRow, vm: Target, nested: Values): void {
    const add = (noun: string, at: readonly PropertyKey[], input: Values): void => {
      const model = this.#catalog.byNoun(noun);
      this.#file.get(model)!.push({ model, at: [...row.at, ...at], input, kept: {} });
    };
    for (const [number, disk] of ((nested['volumes'] as Values[] | undefined) ?? []).entries())
      add('volume', ['volumes', number], { ...disk, vm: vm.key, number });
    for (const [number, card] of ((nested['interfaces'] as Values[] | undefined) ?? []).entries()) {
      const at = ['interfaces', number];
      const name = `${vm.id ?? ''}-${number}`;
      add('vm_interface', at, { vm: vm.key, number, ...(card['mac'] === undefined ? {} : { mac: card['mac'] }) });
      for (const [i, one] of ((card['networks'] as Values[] | undefined) ?? []).entries())
        add('network_membership', [...at, 'networks', i], { vm_interface: name, ...one });
      for (const [i, address] of ((card['addresses'] as string[] | undefined) ?? []).entries())
        add('address', [...at, 'addresses', i], { address, vm_interface: name });
    }
  }

  #resolve(model: Model, row: FileRow, parsed: Values): Values {
    const values = { ...parsed };
    for (const field of model.fields) {
      if (field.ref === undefined || values[field.name] == null) continue;
      const target = this.#catalog.byNoun(field.ref);
      const found = this.#keys.find(target, values[field.name]);
      if (found) values[field.name] = found;
      else this.#fault(row, field.name, `there is no ${target.resource.title.toLowerCase()} '${String(values[field.name])}'`);
    }
    return values;
  }
}
