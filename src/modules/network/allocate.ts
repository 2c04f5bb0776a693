import { sql, type RawBuilder } from 'kysely';
import { prepared } from '../../db/prepared.ts';
import type { Tx } from '../../db/transaction.ts';
import { Problem } from '../../kernel/problem.ts';

/** Hosts of a subnet that are kept as rows in the pool of free addresses: those of an IPv4 /16. */
export const POOL_HOSTS = 65_534;
/** Derived IPv6 addresses begin here, so that routers and the like keep the low numbers. */
export const DERIVED_FROM = 65_536;

export interface SubnetRow {
  readonly id: number;
  readonly network_id: number;
  readonly cidr: string;
  readonly family: 4 | 6;
  readonly derived: boolean;
}

/** The subnets of networks, first made first. */
export async function subnetsOf(tx: Tx, networks: readonly number[]): Promise<SubnetRow[]> {
  const { rows } = await sql<SubnetRow>`${prepared}select s.id::float8 as id, s.network_id::float8 as network_id, s.cidr, family(s.cidr) as family,
    (family(s.cidr) = 6 and 128 - masklen(s.cidr) > 16) as derived
    from subnet s where s.network_id = any(${networks}::bigint[]) order by s.id`.execute(tx.db);
  return rows;
}

/**
 * Gives an interface a free address of one family from the first subnet that has one. Addresses that
 * other creations hold are passed over; only when there is no other does it wait for them.
 * @throws Problem no-address when there are subnets of the family and all are full
 */
export async function giveAddress(tx: Tx, vmInterface: number, subnets: readonly SubnetRow[], family: 4 | 6): Promise<string | undefined> {
  const mine = subnets.filter((subnet) => subnet.family === family);
  if (mine.length === 0) return undefined;
  for (const lock of [sql`for update skip locked`, sql`for update`]) {
    for (const subnet of mine) {
      const address = subnet.derived ? await derive(tx, vmInterface, subnet.id) : await takeFree(tx, vmInterface, subnet.id, lock);
      if (address !== undefined) return address;
    }
  }
  throw noAddress(family, mine);
}

export function noAddress(family: 4 | 6, subnets: readonly SubnetRow[]): Problem {
  const ranges = subnets.map((subnet) => subnet.cidr).join(', ');
  return new Problem('no-address', `No IPv${family} address is free in ${ranges}; add a subnet to the network, or free some`);
}

async function takeFree(tx: Tx, vmInterface: number, subnet: number, lock: RawBuilder<unknown>): Promise<string | undefined> {
  const { rows } = await sql<{ address: string }>`${prepared}update address set vm_interface_id = ${vmInterface}, version = version + 1, updated_at = now()
    where id = (select a.id from address a where a.subnet_id = ${subnet} and a.vm_interface_id is null order by a.address limit 1 ${lock})
    returning address`.execute(tx.db);
  return rows[0]?.address;
}

/** IPv6 subnets are too large to list: the host part is the interface's id, which is never used twice. */
async function derive(tx: Tx, vmInterface: number, subnet: number): Promise<string | undefined> {
  const { rows } = await sql<{ address: string }>`${prepared}insert into address (address, subnet_id, vm_interface_id)
    select set_masklen(network(s.cidr)::inet + (${DERIVED_FROM} + ${vmInterface}::bigint), 128), s.id, ${vmInterface} from subnet s
    where s.id = ${subnet} and set_masklen(network(s.cidr)::inet + (${DERIVED_FROM} + ${vmInterface}::bigint), 128) << s.cidr
    on conflict do nothing returning address`.execute(tx.db);
  return rows[0]?.address;
}

/** Forgets the derived addresses of interfaces that go away; those of the pool become free by themselves. */
export async function dropDerived(tx: Tx, interfaces: RawBuilder<unknown>): Promise<void> {
  await sql`delete from address a using subnet s where s.id = a.subnet_id and family(s.cidr) = 6 and 128 - masklen(s.cidr) > 16 and a.vm_interface_id in (${interfaces})`.execute(
    tx.db,
  );
}

/**
 * Gives an interface the address that was asked for: out of the pool, or a new one of its subnets.
 * @throws Problem conflict when it is taken, invalid when it lies in none of the subnets
 */
export async function giveThisAddress(tx: Tx, vmInterface: number, subnets: readonly SubnetRow[], address: string, pointer: string): Promise<void> {
  const ids = subnets.map((subnet) => subnet.id);
  if (!(await mayChoose(tx, ids))) {
    const message = 'can be chosen in a network of your own only; leave it out, and a free one is given';
    throw new Problem('invalid', `${pointer} ${message}`, { faults: [{ pointer, message }] });
  }
  const { rows } = await sql<{ id: string }>`update address set vm_interface_id = ${vmInterface}, version = version + 1, updated_at = now()
    where address = ${address}::inet and vm_interface_id is null and subnet_id = any(${ids}::bigint[]) returning id`.execute(tx.db);
  if (rows[0]) return;
  const made = await sql`insert into address (address, subnet_id, vm_interface_id)
    select ${address}::inet, s.id, ${vmInterface} from subnet s where s.id = any(${ids}::bigint[]) and ${address}::inet <<= s.cidr and ${address}::inet is distinct from s.gateway
      and (family(s.cidr) = 6 or masklen(s.cidr) > 30 or host(${address}::inet) not in (host(network(s.cidr)), host(broadcast(s.cidr))))
    on conflict do nothing returning id`.execute(tx.db);
  if (made.rows.length > 0) return;
  const { rows: taken } = await sql`select from address where address = ${address}::inet and vm_interface_id is not null and ${shown(tx, ids)}`.execute(tx.db);
  const message = taken.length > 0 ? `${address} belongs to another interface` : `${address} lies in no subnet of the interface's networks, or is a gateway`;
  throw new Problem(taken.length > 0 ? 'conflict' : 'invalid', message, { faults: [{ pointer, message }] });
}

/** In networks that several share, what is refused would tell which addresses others have. */
async function mayChoose({ store: { catalog, rights }, db }: Tx, subnets: readonly number[]): Promise<boolean> {
  const own = rights?.owns(catalog.whole.byNoun('network').resource, 'read', 'n') ?? true;
  if (typeof own === 'boolean') return own;
  const { rows } = await sql<{
    all: boolean;
  }>`select coalesce(bool_and(coalesce(${own}, false)), true) as all from subnet s join network n on n.id = s.network_id
    where s.id = any(${subnets}::bigint[])`.execute(db);
  return rows[0]!.all;
}

/** Only of these subnets is told that an address is taken, to who does not see all. */
function shown({ store: { catalog, rights } }: Tx, subnets: readonly number[]): RawBuilder<unknown> {
  const all = rights === undefined || rights.owns(catalog.whole.byNoun('address').resource, 'read', 'a') === true;
  return all ? sql`true` : sql`subnet_id = any(${subnets}::bigint[])`;
}

/** Fills the pool with the hosts of a subnet: all but network, broadcast and gateway, up to POOL_HOSTS. */
export async function fillPool(tx: Tx, subnet: number): Promise<void> {
  await sql`insert into address (address, subnet_id)
    select set_masklen(network(s.cidr)::inet + i, case family(s.cidr) when 4 then 32 else 128 end), s.id
    from subnet s, lateral (select case family(s.cidr) when 4 then 32 else 128 end - masklen(s.cidr) as bits) b,
      lateral generate_series(case when b.bits < 2 then 0 else 1 end,
        least(case when b.bits < 2 then power(2, b.bits) - 1 else power(2, b.bits) - 2 end, ${POOL_HOSTS})::bigint) i
    where s.id = ${subnet} and (family(s.cidr) = 4 or b.bits <= 16)
      and set_masklen(network(s.cidr)::inet + i, case family(s.cidr) when 4 then 32 else 128 end) is distinct from s.gateway
      and host(network(s.cidr)::inet + i) not in (select host(n.address) from node_address n)
    on conflict do nothing`.execute(tx.db);
}

/**
 * Takes a host's own address out of the pool, so that no virtual machine gets it.
 * @throws Problem in-use when an interface has it already
 */
export async function reserveForNode(tx: Tx, nodeAddress: number): Promise<void> {
  const own = sql`(select host(n.address)::inet from node_address n where n.id = ${nodeAddress})`;
  const { rows } = await sql<{ name: string }>`select i.name from address a join vm_interface i on i.id = a.vm_interface_id where a.address = ${own}`.execute(
    tx.db,
  );
  if (rows[0])
    throw new Problem('in-use', `interface ${rows[0].name} of a virtual machine has this address`, {
      faults: [{ pointer: '/address', message: `belongs to interface ${rows[0].name}` }],
    });
  await sql`delete from address where address = ${own} and vm_interface_id is null`.execute(tx.db);
}

/**
 * Takes a subnet's new gateway out of the pool, and gives the old one back to it.
 * @throws Problem in-use when an interface has the address
 */
export async function changeGateway(tx: Tx, subnet: number, gateway: string | null): Promise<void> {
  const { rows } = await sql<{ vm_interface: string | null }>`select i.name as vm_interface from address a left join vm_interface i on i.id = a.vm_interface_id
    where a.subnet_id = ${subnet} and a.address = ${gateway}::inet for update of a`.execute(tx.db);
  if (rows[0]?.vm_interface) {
    throw new Problem('in-use', `${gateway} belongs to interface ${rows[0].vm_interface}; free it first`, {
      faults: [{ pointer: '/gateway', message: `belongs to interface ${rows[0].vm_interface}` }],
    });
  }
  await sql`delete from address where subnet_id = ${subnet} and address = ${gateway}::inet`.execute(tx.db);
  await sql`update subnet set gateway = ${gateway}::inet where id = ${subnet}`.execute(tx.db);
  await fillPool(tx, subnet);
}
