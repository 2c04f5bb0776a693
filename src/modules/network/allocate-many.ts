import { sql, type RawBuilder } from 'kysely';
import { RefusedAt } from '../../db/many.ts';
import type { Tx } from '../../db/transaction.ts';
import { DERIVED_FROM, giveThisAddress, noAddress, subnetsOf, type SubnetRow } from './allocate.ts';

/** A card that wants addresses. */
export interface Wanting {
  readonly vmInterface: number;
  readonly networks: readonly { readonly network_id: number; readonly tagged: boolean }[];
  /** Those that are asked for; undefined: a free one of each family. */
  readonly addresses: readonly string[] | undefined;
  /** Place of the card in its virtual machine, and whose card it is. */
  readonly number: number;
  readonly index: number;
}

/**
 * Gives many cards their addresses in few statements. Those that are asked for come first, so that none of them is
 * given away as a free one; free ones are given in the order of the cards, lowest address first, as `giveAddress` does.
 * @throws RefusedAt with Problem no-address, conflict, invalid
 */
export async function giveAddresses(tx: Tx, cards: readonly Wanting[]): Promise<void> {
  const networks = [...new Set(cards.flatMap((card) => card.networks.map((one) => one.network_id)))];
  const subnets = await subnetsOf(tx, networks);
  await giveWanted(
    tx,
    subnets,
    cards.filter((card) => card.addresses !== undefined),
  );
  const byNetwork = new Map<number, Wanting[]>();
  for (const card of cards) {
    const untagged = card.networks.find((one) => !one.tagged)?.network_id;
    if (card.addresses !== undefined || untagged === undefined) continue;
    const group = byNetwork.get(untagged);
    if (group) group.push(card);
    else byNetwork.set(untagged, [card]);
  }
  /* In one order, so that two that share networks do not wait for each other for ever. */
  for (const [network, group] of [...byNetwork].sort(([a], [b]) => a - b))
    for (const family of [4, 6] as const)
      await giveFree(
        tx,
        subnets.filter((subnet) => subnet.network_id === network && subnet.family === family),
        group,
        family,
      );
}

async function giveFree(tx: Tx, subnets: readonly SubnetRow[], cards: readonly Wanting[], family: 4 | 6): Promise<void> {
  if (subnets.length === 0) return;
  let left = cards;
  /* Those that others hold are passed over first, and waited for where there is no other. */
  for (const lock of [sql`for update skip locked`, sql`for update`]) {
    for (const subnet of subnets) {
      if (left.length === 0) return;
      const ids = left.map((card) => card.vmInterface);
      const given = new Set(subnet.derived ? await deriveMany(tx, ids, subnet.id) : await takeMany(tx, ids, subnet.id, lock));
      left = left.filter((card) => !given.has(card.vmInterface));
    }
  }
  if (left.length > 0) throw new RefusedAt([...new Set(left.map((card) => card.index))].map((index) => ({ index, cause: noAddress(family, subnets) })));
}

/** The lowest free addresses of a subnet, to the first of the cards. @returns who got one */
async function takeMany(tx: Tx, cards: readonly number[], subnet: number, lock: RawBuilder<unknown>): Promise<number[]> {
  const { rows } = await sql<{ card: string }>`with free as (select a.id, a.address from address a where a.subnet_id = ${subnet} and a.vm_interface_id is null
      order by a.address limit ${cards.length} ${lock}),
    taken as (select f.id, row_number() over (order by f.address) as place from free f)
    update address a set vm_interface_id = w.card, version = version + 1, updated_at = now()
    from taken t join unnest(${cards}::bigint[]) with ordinality as w (card, place) on w.place = t.place where a.id = t.id returning w.card`.execute(tx.db);
  return rows.map((row) => Number(row.card));
}

/** As `derive` does for one. @returns who got one */
async function deriveMany(tx: Tx, cards: readonly number[], subnet: number): Promise<number[]> {
  const { rows } = await sql<{ vm_interface_id: string }>`insert into address (address, subnet_id, vm_interface_id)
    select set_masklen(network(s.cidr)::inet + (${sql.lit(DERIVED_FROM)} + w.card), 128), s.id, w.card from subnet s, unnest(${cards}::bigint[]) with ordinality as w (card, place)
    where s.id = ${subnet} and set_masklen(network(s.cidr)::inet + (${sql.lit(DERIVED_FROM)} + w.card), 128) << s.cidr order by w.place
    on conflict do nothing returning vm_interface_id`.execute(tx.db);
  return rows.map((row) => Number(row.vm_interface_id));
}

/** Addresses that are free in the pool, in one statement; the others, which may have to be made, one by one. */
async function giveWanted(tx: Tx, subnets: readonly SubnetRow[], cards: readonly Wanting[]): Promise<void> {
  const wants = cards.flatMap((card) => {
    const mine = new Set(card.networks.map((one) => one.network_id));
    const reachable = subnets.filter((subnet) => mine.has(subnet.network_id));
    return card.addresses!.map((address, i) => ({ card, address, reachable, pointer: `/interfaces/${card.number}/addresses/${i}` }));
  });
  if (wants.length === 0) return;
  const records = wants.flatMap(({ card, address, reachable }, place) =>
    reachable.map((subnet) => ({ place, card: card.vmInterface, address, subnet: subnet.id })),
  );
  const { rows } = await sql<{ place: number }>`with w as (select distinct on (x.address) x.* from json_to_recordset(${JSON.stringify(records)}::json)
      as x (place int, card bigint, address inet, subnet bigint) join address f on f.address = x.address and f.subnet_id = x.subnet order by x.address, x.place),
    free as (select a.id, a.address from address a join w on w.address = a.address and w.subnet = a.subnet_id where a.vm_interface_id is null order by a.id for update of a)
    update address a set vm_interface_id = w.card, version = version + 1, updated_at = now()
    from free f join w on w.address = f.address where a.id = f.id and a.vm_interface_id is null returning w.place`.execute(tx.db);
  const given = new Set(rows.map((row) => row.place));
  for (const [place, { card, address, reachable, pointer }] of wants.entries()) {
    if (given.has(place)) continue;
    try {
      await giveThisAddress(tx, card.vmInterface, reachable, address, pointer);
    } catch (error) {
      throw new RefusedAt([{ index: card.index, cause: error }]);
    }
  }
}
