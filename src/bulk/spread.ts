import { sql } from 'kysely';
import { z } from 'zod';
import { invalid } from '../db/check.ts';
import { toProblem } from '../db/errors.ts';
import { touch, type Tx, type Values } from '../db/transaction.ts';
import { insertRow, patchRow } from '../db/write.ts';
import { giveThisAddress, subnetsOf } from '../modules/network/allocate.ts';
import { vmExtras } from '../modules/vms/vm-extras.ts';
import { check } from '../db/check.ts';
import { Problem } from '../kernel/problem.ts';
import { difference } from './differ.ts';
import { rowsOf } from './identify.ts';

const extrasSchema = z.strictObject({
  volumes: vmExtras.volumes.optional(),
  interfaces: vmExtras.interfaces.optional(),
  placement: vmExtras.placement.optional(),
});

/**
 * The disks and cards that a put gives for a virtual machine that is there: found by their place, changed where they
 * differ, made where there is none. None is removed, and where it runs stays. @returns whether anything changed
 */
export async function spreadVm(tx: Tx, vm: number, extras: Values): Promise<boolean> {
  const { volumes = [], interfaces = [] } = check(extrasSchema, extras) as z.output<typeof extrasSchema>;
  let changed = false;
  for (const [number, disk] of volumes.entries())
    changed = (await at(tx, 'volume', `/volumes/${number}`, () => putChild(tx, 'volume', vm, number, disk))).changed || changed;
  for (const [number, { mac, networks = [], addresses = [] }] of interfaces.entries()) {
    const place = `/interfaces/${number}`;
    const card = await at(tx, 'vm_interface', place, () => putChild(tx, 'vm_interface', vm, number, mac === undefined ? {} : { mac }));
    changed = card.changed || changed;
    for (const [i, one] of networks.entries())
      changed = (await at(tx, 'network_membership', `${place}/networks/${i}`, () => join(tx, card.id, one))) || changed;
    for (const [i, address] of addresses.entries()) changed = (await hold(tx, card.id, address, `${place}/addresses/${i}`)) || changed;
  }
  return changed;
}

/** Puts a place before the places of what is wrong there. */
async function at<T>(tx: Tx, noun: string, place: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const problem = toProblem(error, tx.store.catalog, tx.store.catalog.byNoun(noun));
    if (!(problem instanceof Problem) || problem.status >= 500) throw error;
    const faults = problem.faults.length > 0 ? problem.faults : [{ pointer: '', message: problem.message }];
    throw new Problem(problem.code, problem.message, { faults: faults.map((one) => ({ pointer: place + one.pointer, message: one.message })), cause: error });
  }
}

/** A disk or card by its number. */
async function putChild(tx: Tx, noun: 'volume' | 'vm_interface', vm: number, number: number, given: Values): Promise<{ id: number; changed: boolean }> {
  const model = tx.store.catalog.byNoun(noun);
  const { rows } = await sql<{ id: string }>`select id from ${sql.id(noun)} where vm_id = ${vm} and number = ${number}`.execute(tx.db);
  if (!rows[0]) return { id: (await insertRow(tx, model, { ...given, vm, number })).id, changed: true };
  const id = Number(rows[0].id);
  const known = (await rowsOf(tx, model, [id])).get(id)!;
  const patch = difference(model, check(model.updateSchema, given), known.row, known.refs, {});
  return { id, changed: Object.keys(patch).length > 0 && (await patchRow(tx, model, id, patch)) };
}

async function join(tx: Tx, card: number, { network, tagged }: { network: number | string; tagged: boolean }): Promise<boolean> {
  const model = tx.store.catalog.byNoun('network_membership');
  const { rows } = await sql<{ id: string; tagged: boolean }>`select m.id, m.tagged from network_membership m join network n on n.id = m.network_id
    where m.vm_interface_id = ${card} and (n.name = ${String(network)} or n.id::text = ${String(network)})`.execute(tx.db);
  if (!rows[0]) {
    await insertRow(tx, model, { vm_interface: card, network, tagged });
    return true;
  }
  return rows[0].tagged !== tagged && patchRow(tx, model, Number(rows[0].id), { tagged });
}

async function hold(tx: Tx, card: number, address: string, pointer: string): Promise<boolean> {
  const { rows } = await sql`select from address where address = ${address}::inet and vm_interface_id = ${card}`.execute(tx.db);
  if (rows.length > 0) return false;
  const networks = await sql<{ id: string }>`select network_id as id from network_membership where vm_interface_id = ${card}`.execute(tx.db);
  const subnets = await subnetsOf(
    tx,
    networks.rows.map((row) => Number(row.id)),
  );
  if (subnets.length === 0) throw invalid([{ pointer, message: "lies in no subnet of the interface's networks" }]);
  await giveThisAddress(tx, card, subnets, address, pointer);
  await touch(tx, tx.store.catalog.byNoun('vm_interface'), [card]);
  return true;
}
