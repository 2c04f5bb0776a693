import { sql } from 'kysely';
import { invalid } from '../../db/check.ts';
import type { Hooks, Tx, Values } from '../../db/transaction.ts';
import { Problem } from '../../kernel/problem.ts';

/** Names of the roles that are always there: see src/auth/roles.ts. */
export const builtInRoleNames = ['admin', 'operator', 'viewer', 'customer-admin', 'customer-user', 'reader', 'server'] as const;
const isBuiltIn = (name: unknown): boolean => (builtInRoleNames as readonly unknown[]).includes(name);

function refuseBuiltIn(name: unknown): void {
  if (isBuiltIn(name)) throw invalid([{ pointer: '/name', message: 'is a role that is always there; choose another name' }]);
}

/** A role of one's own has a name that no built-in one has, and stays while a binding gives it to somebody. */
export const roleHooks: Hooks = {
  prepare: (tx, input) => {
    refuseMore(tx);
    refuseBuiltIn(input['name']);
    return input;
  },
  change: async (tx, id, patch) => {
    refuseMore(tx);
    refuseBuiltIn(patch['name']);
    if (patch['name'] !== undefined) await refuseUsed(tx, id, patch['name'] as string);
    return patch;
  },
  deleting: (tx, id) => refuseUsed(tx, id),
};

async function refuseUsed(tx: Tx, id: number, name?: string): Promise<void> {
  const { rows } = await sql<{ name: string }>`select b.name from role r join binding b on b.role = r.name
    where r.id = ${id} and r.name is distinct from ${name ?? null}::text order by b.name limit 1`.execute(tx.db);
  if (rows[0]) throw new Problem('in-use', `The binding '${rows[0].name}' gives this role to somebody; change that first`);
}

/** Who says who may do what must himself be able to do everything: else he could give himself more than he has. */
function refuseMore(tx: Tx): void {
  tx.store.rights?.demand('*:*', { everywhere: true });
}

/** A binding gives a role that there is. */
async function checkRole(tx: Tx, values: Values): Promise<Values> {
  const { role } = values;
  refuseMore(tx);
  if (role === undefined || isBuiltIn(role)) return values;
  /* Locked, so that it does not go meanwhile. */
  const { rows } = await sql`select from role where name = ${role} for key share`.execute(tx.db);
  if (rows.length === 0)
    throw invalid([
      { pointer: '/role', message: `there is no role '${String(role)}'; there are ${builtInRoleNames.join(', ')}, and those under /api/v1/roles` },
    ]);
  return values;
}

export const bindingHooks: Hooks = { prepare: checkRole, change: (tx, _id, patch) => checkRole(tx, patch) };
