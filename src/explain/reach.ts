/** Why a layer reaches a node, or does not, in words. Pure. */
import type { Scope } from '../documents/layers.ts';

/** What of a node decides on the layers that reach it. */
export interface Reached {
  readonly site: string;
  readonly environment: string;
  readonly roles: readonly string[];
  /** Selectors of groups, by name. */
  readonly groups: Readonly<Record<string, string>>;
}

export function because(
  { site, environment, roles, groups }: Reached,
  { scope, target }: { readonly scope: Scope; readonly target: string | null },
  reaches: boolean,
): string {
  const of = target ?? '';
  switch (scope) {
    case 'everything':
      return reaches ? 'it is for every node' : 'the node is deactivated';
    case 'site':
      return reaches ? `the node is at the site ${of}` : `the node is at the site ${site}`;
    case 'environment':
      return reaches ? `the node is in the environment ${of}` : `the node is in the environment ${environment}`;
    case 'role':
      return reaches ? `the node has the role ${of}` : `the node has not the role ${of}; it has ${roles.length === 0 ? 'none' : roles.join(', ')}`;
    case 'customer':
      return reaches ? `a virtual machine of ${of} is on it` : `no virtual machine of ${of} is on it`;
    case 'group':
      return `${reaches ? 'the node is' : 'the node is not'} in the group ${of}${groups[of] === undefined ? '' : ` (${groups[of]})`}`;
    case 'node':
      return reaches ? 'it is for this node' : `it is for ${of}`;
  }
}

/** `site fra1`, `everything`. */
export const scopeText = ({ scope, target }: { readonly scope: string; readonly target: string | null }): string =>
  target === null ? scope : `${scope} ${target}`;
