import { sql, type RawBuilder } from 'kysely';
import { POOL_HOSTS } from '../modules/network/allocate.ts';

/** Bits of the host part of subnet `s`. */
const bits = (s: RawBuilder<unknown>): RawBuilder<unknown> => sql`(case family(${s}.cidr) when 4 then 32 else 128 end - masklen(${s}.cidr))`;
/** Whether the subnet fills the pool by itself: as fillPool has it. */
const fills = (s: RawBuilder<unknown>): RawBuilder<unknown> => sql`(family(${s}.cidr) = 4 or ${bits(s)} <= 16)`;
const low = (s: RawBuilder<unknown>): RawBuilder<unknown> => sql`(case when ${bits(s)} < 2 then 0 else 1 end)`;
const high = (s: RawBuilder<unknown>): RawBuilder<unknown> =>
  sql`least(power(2, ${bits(s)}) - case when ${bits(s)} < 2 then 1 else 2 end, ${sql.lit(POOL_HOSTS)})`;

/** SQL: whether fillPool of subnet `s` makes this address. */
export function isFilled(address: RawBuilder<unknown>, s: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`(case when ${fills(s)} then ${address} - set_masklen(network(${s}.cidr)::inet, masklen(${address})) between ${low(s)} and ${high(s)} and ${address} is distinct from ${s}.gateway else false end)`;
}

/** SQL: whether all that fillPool makes for subnet `s` is there, so that an import may call it. */
export function poolIsWhole(s: RawBuilder<unknown>): RawBuilder<unknown> {
  const gateway = sql`coalesce((case when ${fills(s)} then ${s}.gateway - set_masklen(network(${s}.cidr)::inet, masklen(${s}.gateway)) between ${low(s)} and ${high(s)} end)::int, 0)`;
  /* Hosts' own addresses are not in the pool. */
  const own = sql`host(n.address)::inet`;
  const hosts = sql`(select count(distinct ${own}) from node_address n where ${own} << ${s}.cidr and ${isFilled(own, s)})`;
  return sql`(case when ${fills(s)} then (select count(*) from address f where f.subnet_id = ${s}.id and ${isFilled(sql`f.address`, s)}) = ${high(s)} - ${low(s)} + 1 - ${gateway} - ${hosts} else true end)`;
}
