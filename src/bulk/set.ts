import { sql } from 'kysely';
import type { Model } from '../db/catalog.ts';
import { insertRecords } from '../db/records.ts';
import type { Tx } from '../db/transaction.ts';
import { countOwner, deleteRow, patchRow } from '../db/write.ts';

interface Member {
  readonly noun: string;
  readonly id: number;
  /** Of a disk that was made with a virtual machine of the set: that one. */
  readonly vm: number | null;
}

/** A named set while a request works on it: its row is locked, so that no other works on the same set. */
export class ApplyingSet {
  readonly id: number;
  readonly #tx: Tx;
  readonly #named = new Set<string>();

  private constructor(tx: Tx, id: number) {
    this.#tx = tx;
    this.id = id;
  }

  /** The set of this name, made where it is new. */
  static async open(tx: Tx, name: string): Promise<ApplyingSet> {
    await sql`insert into apply_set (name) values (${name}) on conflict do nothing`.execute(tx.db);
    const { rows } = await sql<{ id: string }>`select id from apply_set where name = ${name} for update`.execute(tx.db);
    return new ApplyingSet(tx, Number(rows[0]!.id));
  }

  /** Makes rows members, and with new virtual machines the disks that they were made with. */
  async keep(members: readonly { readonly noun: string; readonly id: number; readonly created: boolean }[]): Promise<void> {
    for (const { noun, id } of members) this.#named.add(`${noun} ${id}`);
    const made = members.filter((one) => one.noun === 'vm' && one.created).map((one) => one.id);
    const { rows } = await sql<{ id: string; vm_id: string }>`select id, vm_id from volume where vm_id = any(${made}::bigint[])`.execute(this.#tx.db);
    const disks = rows.map((row) => ({ noun: 'volume', id: Number(row.id), vm: Number(row.vm_id) })).filter((row) => !this.#named.has(`volume ${row.id}`));
    const known = new Set((await this.#members()).map((one) => `${one.noun} ${one.id}`));
    const records = [...members.map((one) => ({ ...one, vm: null })), ...disks].filter(
      ({ noun, id }) => !known.has(`${noun} ${id}`) && known.add(`${noun} ${id}`),
    );
    await insertRecords(
      this.#tx.db,
      'apply_set_member',
      { apply_set_id: 'bigint', noun: 'text', row_id: 'bigint', vm_id: 'bigint' },
      records.map(({ noun, id, vm }) => ({ apply_set_id: this.id, noun, row_id: id, vm_id: vm })),
    );
  }

  async #members(): Promise<Member[]> {
    const { rows } = await sql<{ noun: string; row_id: string; vm_id: string | null }>`select noun, row_id, vm_id from apply_set_member
      where apply_set_id = ${this.id} order by row_id desc`.execute(this.#tx.db);
    return rows.map((row) => ({ noun: row.noun, id: Number(row.row_id), vm: row.vm_id === null ? null : Number(row.vm_id) }));
  }

  /**
   * The members that were not named now, in an order in which they can be deleted: virtual machines, which free what
   * others refer to, then the last made first. A disk goes with the virtual machine that it was made with, if it is
   * still its disk. What another set has too only leaves this one.
   */
  async superfluous(): Promise<{ readonly model: Model; readonly id: number }[]> {
    const { catalog } = this.#tx.store;
    const unnamed = (await this.#members()).filter((one) => !this.#named.has(`${one.noun} ${one.id}`));
    const { rows: elsewhere } = await sql<{ noun: string; row_id: string }>`select distinct m.noun, m.row_id from apply_set_member m
      join json_to_recordset(${JSON.stringify(unnamed)}::json) as x (noun text, id bigint) on x.noun = m.noun and x.id = m.row_id where m.apply_set_id <> ${this.id}`.execute(
      this.#tx.db,
    );
    const shared = new Set(elsewhere.map((row) => `${row.noun} ${row.row_id}`));
    const going = unnamed.filter((one) => !shared.has(`${one.noun} ${one.id}`));
    const vms = new Set(going.filter((one) => one.noun === 'vm').map((one) => one.id));
    const disks = going.filter((one) => one.vm !== null).map((one) => one.id);
    const { rows } = await sql<{ id: string; vm_id: string | null }>`select id, vm_id from volume where id = any(${disks}::bigint[])`.execute(this.#tx.db);
    const owner = new Map(rows.map((row) => [Number(row.id), row.vm_id === null ? null : Number(row.vm_id)]));
    const leaving = going.filter((one) => one.vm === null || (vms.has(one.vm) && owner.get(one.id) === one.vm));
    /* Disks of virtual machines that stay are theirs, and remain members. */
    const gone = unnamed.filter((one) => one.vm === null || leaving.includes(one) || !owner.has(one.id) || owner.get(one.id) !== one.vm);
    await this.#forget(gone);
    const order = ['vm', ...catalog.models.map((model) => model.resource.noun).toReversed()];
    return leaving
      .map((one) => ({ model: catalog.byNoun(one.noun), id: one.id }))
      .sort((a, b) => order.indexOf(a.model.resource.noun) - order.indexOf(b.model.resource.noun) || b.id - a.id);
  }

  async #forget(members: readonly Member[]): Promise<void> {
    await sql`delete from apply_set_member m using json_to_recordset(${JSON.stringify(members)}::json) as x (noun text, id bigint)
      where m.apply_set_id = ${this.id} and m.noun = x.noun and m.row_id = x.id`.execute(this.#tx.db);
  }

  /** Deletes a member. A disk is taken from its virtual machine first. */
  async remove(model: Model, id: number): Promise<void> {
    if (model.resource.noun === 'volume') await patchRow(this.#tx, model, id, { vm: null });
    await countOwner(this.#tx, model, id);
    await deleteRow(this.#tx, model, id);
    this.#tx.em.clear();
  }
}
