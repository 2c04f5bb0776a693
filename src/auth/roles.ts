/**
 * Permissions are `<noun>:<verb>`, each part `*` for all; verbs of nouns are read, create, update and delete. Beside
 * the nouns there are the ones below.
 */
export const otherPermissions = {
  'document:read': "read the documents of every node: ENC, Hiera, pillar and the rest, with their secrets' values",
  'report:create': 'send reports, facts and heartbeats for every node',
  'change:read': 'read the history of everything, and watch it',
  'change:revert': 'undo changes',
} as const;

/** What a role may do. */
export interface Role {
  readonly summary: string;
  readonly permissions: readonly string[];
}

/** What customers work with; hosts, keys, layers, documents and other customers are not among it. */
/* The lists of values are for everybody. */
const LISTS = ['vm_state', 'vm_observed_state', 'virt_method', 'storage_type', 'cache_option'];
const OWN = ['vm', 'volume', 'vm_interface', 'network_membership', 'snapshot'];
const SEEN = ['customer', 'project', 'network', 'subnet', 'address', 'image', ...LISTS, ...OWN];
/** Who may do what: for admins only. */
const RIGHTS = ['person', 'role', 'binding', 'token'];

const every = (nouns: readonly string[], ...verbs: string[]): string[] => nouns.flatMap((noun) => verbs.map((verb) => `${noun}:${verb}`));

/** The roles that every Corral has; own ones are rows of the noun `role`. */
export const builtInRoles: Readonly<Record<string, Role>> = {
  admin: { summary: 'May do everything.', permissions: ['*:*'] },
  operator: {
    summary: 'May do everything but say who may do what.',
    permissions: ['*:*', ...RIGHTS.flatMap((noun) => [`!${noun}:create`, `!${noun}:update`, `!${noun}:delete`]), '!audit_entry:read'],
  },
  viewer: { summary: 'May read everything but secrets and the audit log.', permissions: ['*:read', '!audit_entry:read'] },
  'customer-admin': {
    summary: "May make, change and delete what a customer has, and say who of the customer's people may do so.",
    permissions: [...every(SEEN, 'read'), ...every(OWN, 'create', 'update', 'delete'), ...every(['project'], 'create', 'update', 'delete')],
  },
  'customer-user': {
    summary: "May make, change and delete the customer's virtual machines, volumes, interfaces and snapshots.",
    permissions: [...every(SEEN, 'read'), ...every(OWN, 'create', 'update', 'delete')],
  },
  /* What the kinds of tokens stand for. */
  server: { summary: 'A puppetserver or salt-master: reads documents, and reports for nodes.', permissions: ['document:read', 'report:create'] },
};

/** Whether a list of permissions has one: `!` before a permission takes it out again. */
export function includes(permissions: readonly string[], wanted: string): boolean {
  const hits = (one: string): boolean => {
    const [noun, verb] = one.split(':');
    const [n, v] = wanted.split(':');
    return (noun === '*' || noun === n) && (verb === '*' || verb === v);
  };
  return permissions.some((one) => !one.startsWith('!') && hits(one)) && !permissions.some((one) => one.startsWith('!') && hits(one.slice(1)));
}

/** Whether a list of permissions lets do this with any noun at all. */
export function actsOn(permissions: readonly string[], action: string): boolean {
  return permissions.some((one) => {
    const [noun, verb] = one.split(':');
    return !one.startsWith('!') && !Object.hasOwn(otherPermissions, one) && noun !== undefined && (verb === '*' || verb === action);
  });
}
