/**
 * Bridges and what is plugged into them, as data for the host.
 *
 * A network device belongs to one bridge only, and a host has one VLAN device per tag and one VXLAN
 * device per id. So there are two kinds of bridges:
 * - `br-<vm_id>-<n>`, one per VM interface, that libvirt plugs the VM into. It passes tags through.
 * - `cn-<hash>`, one per uplink of a network that is used on the host: the VLAN or VXLAN device, or the
 *   host's interface itself. It filters VLANs with nothing but the default, so frames
 *   that carry a tag do not pass.
 * An untagged membership is a cable (a veth pair) between the two. A tagged one is a VLAN device on top
 * of the VM's bridge that is a port of the network's. A `routed` network has no second bridge: the VM's
 * own carries the gateway's address and a route to each of the VM's addresses, and answers ARP and
 * neighbour requests for the others.
 */
import type { Network, NodeAggregate, Vm, VmInterface } from './types.ts';
import { bridgeName, cableNames, networkBridgeName, vlanName } from './names.ts';
import type { Refusal } from './refusal.ts';
import { uplinkOf, type BridgePort, type UplinkAddress } from './uplink.ts';

/** One bridge of the document. */
export interface Bridge {
  readonly ensure: 'present';
  readonly kind: 'vm' | 'network';
  readonly mtu: number;
  /** Of kind network: the names of the networks that it carries. */
  readonly networks?: readonly string[];
  /** Ports that Corral plugs in; libvirt adds the VM's own. */
  readonly ports: readonly BridgePort[];
  readonly vlan_filtering: boolean;
  /** CIDR form: gateways of routed networks, or what a host's interface gives up to its bridge. */
  readonly addresses: readonly UplinkAddress[];
  /** CIDR form: what is reached through this bridge. */
  readonly routes: readonly string[];
  /** Forward between this bridge and others, and answer for the hosts behind them. */
  readonly routed: boolean;
  /** Memberships that cannot be built, each with its network. */
  readonly unsupported?: readonly (Refusal & { readonly network: string })[];
}

interface Shared {
  readonly name: string;
  readonly draft: Draft;
}

interface Draft {
  readonly kind: Bridge['kind'];
  readonly mtu: number;
  readonly networks: Set<string>;
  readonly ports: BridgePort[];
  readonly addresses: UplinkAddress[];
  readonly routes: string[];
  readonly unsupported: (Refusal & { readonly network: string })[];
}

/**
 * All bridges of a hypervisor by name. A membership that cannot be built (an unknown network, no host
 * interface of its purpose, no tag) is named in `unsupported` of its bridge; the rest is built.
 */
export function bridges(node: Pick<NodeAggregate, 'interfaces'>, vms: readonly Vm[], networks: readonly Network[]): Record<string, Bridge> {
  const drafts = new Map<string, Draft>();
  const byName = new Map(networks.map((network) => [network.name, network]));
  for (const vm of vms) {
    for (const nic of vm.interfaces) {
      const own = draft('vm', nic.mtu);
      drafts.set(bridgeName(nic), own);
      for (const { network: name, tagged } of nic.networks) {
        const network = byName.get(name);
        const problem = network === undefined ? missing(name) : join(node, drafts, own, nic, network, tagged);
        if (problem !== null) own.unsupported.push({ network: name, ...problem });
      }
    }
  }
  return Object.fromEntries([...drafts].map(([name, made]) => [name, finished(made)]));
}

function finished({ kind, mtu, networks, ports, addresses, routes, unsupported }: Draft): Bridge {
  return {
    ensure: 'present',
    kind,
    mtu,
    ...(kind === 'network' ? { networks: [...networks].sort() } : {}),
    ports: ports.sort((a, b) => (a.name < b.name ? -1 : 1)),
    vlan_filtering: kind === 'network',
    addresses,
    routes,
    routed: routes.length > 0,
    ...(unsupported.length > 0 ? { unsupported } : {}),
  };
}

function draft(kind: Bridge['kind'], mtu: number): Draft {
  return { kind, mtu, networks: new Set(), ports: [], addresses: [], routes: [], unsupported: [] };
}

function missing(name: string): Refusal {
  return { code: 'network_missing', reason: `the network ${name} is not in this node's data` };
}

/** Makes an interface a member of a network, or says why that cannot be. */
function join(
  node: Pick<NodeAggregate, 'interfaces'>,
  drafts: Map<string, Draft>,
  own: Draft,
  nic: VmInterface,
  network: Network,
  tagged: boolean,
): Refusal | null {
  if (network.kind === 'routed') return route(own, nic, network, tagged);
  const tag = tagged ? guestTag(network) : null;
  if (tagged && tag === null) {
    return { code: 'tag_missing', reason: `the network ${network.name} has no tag from 1 to 4094 to be a tagged member with` };
  }
  const other = shared(node, drafts, network);
  if ('code' in other) return other;
  const mtu = Math.min(nic.mtu, network.mtu);
  if (tag !== null) {
    const parent = bridgeName(nic);
    plug(other.draft, { kind: 'vlan', name: vlanName(parent, tag), parent, tag, mtu });
    return null;
  }
  const [inner, outer] = cableNames(nic, other.name);
  plug(own, { kind: 'veth', name: inner, peer: outer, mtu });
  plug(other.draft, { kind: 'veth', name: outer, peer: inner, mtu });
  return null;
}

/** Two networks may have one uplink: a second cable between the same bridges would be a loop. */
function plug(into: Draft, port: BridgePort): void {
  if (!into.ports.some(({ name }) => name === port.name)) into.ports.push(port);
}

/** The tag that a guest sees: the network's VLAN tag, or its VXLAN id where that is one. */
function guestTag(network: Network): number | null {
  const tag = network.vlan_tag ?? network.vxlan_id;
  return tag !== null && tag >= 1 && tag <= 4094 ? tag : null;
}

/** The bridge of the network's uplink on this host, made when the first network asks for it. */
function shared(node: Pick<NodeAggregate, 'interfaces'>, drafts: Map<string, Draft>, network: Network): Shared | Refusal {
  const found = uplinkOf(node.interfaces, network);
  if ('code' in found) return found;
  const name = networkBridgeName(found.key);
  let made = drafts.get(name);
  if (made === undefined) {
    made = draft('network', network.mtu);
    made.ports.push(found.port);
    made.addresses.push(...found.addresses);
    drafts.set(name, made);
  }
  made.networks.add(network.name);
  return { name, draft: made };
}

/** Gateway and routes of a routed network on the VM's own bridge. */
function route(own: Draft, nic: VmInterface, network: Network, tagged: boolean): Refusal | null {
  if (tagged) return { code: 'routed_tagged', reason: `the routed network ${network.name} cannot be a tagged member` };
  for (const { address, subnet, gateway } of nic.addresses) {
    const known = network.subnets.find(({ cidr }) => cidr === subnet);
    if (known === undefined) continue;
    own.routes.push(host(address));
    const via = gateway ?? known.gateway;
    if (via !== null && !own.addresses.some((one) => one.address === host(via))) own.addresses.push({ address: host(via) });
  }
  return null;
}

/** An address as the CIDR of itself; a link-local one keeps the /64 that makes it reachable. */
function host(address: string): string {
  if (!address.includes(':')) return `${address}/32`;
  return /^fe[89ab]/i.test(address) ? `${address}/64` : `${address}/128`;
}
