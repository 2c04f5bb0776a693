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
const HIDDEN = ['!audit_entry:*', '!session:*'];

const every = (nouns: readonly string[], ...verbs: string[]): string[] => nouns.flatMap((noun) => verbs.map((verb) => `${noun}:${verb}`));

/** The roles that every Corral has; own ones are rows of the noun `role`. */
export const builtInRoles: Readonly<Record<string, Role>> = {
  admin: { summary: 'May do everything.', permissions: ['*:*'] },
  operator: {
    summary: 'May do everything but say who may do what.',
    permissions: ['*:*', ...RIGHTS.flatMap((noun) => [`!${noun}:create`, `!${noun}:update`, `!${noun}:delete`]), ...HIDDEN],
  },
  viewer: {
    summary: 'May read everything but documents, which hold secrets, sessions and the audit log.',
    permissions: ['*:read', '!document:read', ...HIDDEN],
  },
  'customer-admin': {
    summary: 'May make, change and delete what a customer has, its projects, and networks of its own.',
    permissions: [...every(SEEN, 'read'), ...every(OWN, 'create', 'update', 'delete'), ...every(['project', 'network'], 'create', 'update', 'delete')],
  },
  'customer-user': {
    summary: "May make, change and delete the customer's virtual machines, volumes, interfaces and snapshots.",
    permissions: [...every(SEEN, 'read'), ...every(OWN, 'create', 'update', 'delete')],
  },
  /* What the kinds of tokens stand for. */
  reader: { summary: 'Reads everything but sessions and the audit log, the documents of all nodes among it.', permissions: ['*:read', ...HIDDEN] },
  server: { summary: 'A puppetserver or salt-master: reads documents, and reports for nodes.', permissions: ['document:read', 'report:create'] },
};

/**
 * Whether a list of permissions has one: `!` before a permission takes it out again. A wanted `*` is had only if
 * nothing of it is taken out.
 */
export function includes(permissions: readonly string[], wanted: string): boolean {
  const [noun, verb] = wanted.split(':');
  const covers = (one: string | undefined, all: string | undefined): boolean => one === '*' || one === all;
  const meets = (one: string | undefined, other: string | undefined): boolean => covers(one, other) || other === '*';
  let has = false;
  for (const one of permissions) {
    const [n, v] = (one.startsWith('!') ? one.slice(1) : one).split(':');
    if (one.startsWith('!')) {
      if (meets(n, noun) && meets(v, verb)) return false;
    } else {
      has ||= covers(n, noun) && covers(v, verb);
    }
  }
  return has;
}

/** Whether a list of permissions lets do this with any noun at all. */
export function actsOn(permissions: readonly string[], action: string): boolean {
  return permissions.some((one) => {
    const [noun, verb] = one.split(':');
    return !one.startsWith('!') && !Object.hasOwn(otherPermissions, one) && noun !== undefined && (verb === '*' || verb === action);
  });
}
