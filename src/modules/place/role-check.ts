/**
 * A node has at least one role: checked at commit, so that a node and its roles can be made, and one
 * role exchanged for another, in one transaction. The function is made by the first migration.
 */
export function roleCheck(table: string, event: 'insert' | 'delete', column: string) {
  const name = `${table}_node_has_role`;
  return {
    name,
    timing: 'after' as const,
    events: [event],
    expression: `create constraint trigger ${name} after ${event} on ${table} deferrable initially deferred for each row execute function check_node_has_role('${column}')`,
  };
}
