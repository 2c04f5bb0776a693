/** How a network leaves a host: the device that its bridge there is plugged into. */
import type { Network, NodeInterface } from './types.ts';
import { vlanName, vxlanName } from './names.ts';
import type { Refusal } from './refusal.ts';

/** A device that is a port of a bridge. MTU in bytes. */
export type BridgePort =
  /** One end of a cable; `peer` is the end in the other bridge. */
  | { readonly kind: 'veth'; readonly name: string; readonly peer: string; readonly mtu: number }
  | { readonly kind: 'vlan'; readonly name: string; readonly parent: string; readonly tag: number; readonly mtu: number }
  | {
      readonly kind: 'vxlan';
      readonly name: string;
      readonly id: number;
      /** Multicast group; absent when the network has none. */
      readonly group?: string;
      /** The host's interface below, and its own address when it has one. */
      readonly parent: string;
      readonly local?: string;
      /** UDP port: the one IANA gave to VXLAN. */
      readonly port: 4789;
      readonly mtu: number;
    }
  /** The host's interface itself. */
  | { readonly kind: 'interface'; readonly name: string };

/** An address in CIDR form, and the gateway behind it when there is one. */
export interface UplinkAddress {
  readonly address: string;
  readonly gateway?: string;
}

/** The uplink of a network on a host. */
export interface Uplink {
  /** The same for two networks that are one on the wire. */
  readonly key: string;
  readonly port: BridgePort;
  /** What the host's interface gives up to the bridge that it becomes a port of. */
  readonly addresses: readonly UplinkAddress[];
}

/** The uplink of a VLAN, VXLAN or flat network on a host with these interfaces, or why there is none. */
export function uplinkOf(interfaces: readonly NodeInterface[], network: Network): Uplink | Refusal {
  const parent = parentOf(interfaces, network);
  if (parent === undefined) {
    const reason = `this host has no ${network.purpose} interface to carry the network ${network.name}`;
    return { code: 'parent_missing', reason };
  }
  const { mtu } = network;
  if (network.kind === 'vlan') {
    const tag = network.vlan_tag;
    if (tag === null) return { code: 'tag_missing', reason: `the VLAN network ${network.name} has no tag` };
    const port = { kind: 'vlan', name: vlanName(parent.name, tag), parent: parent.name, tag, mtu } as const;
    return { key: `vlan ${parent.name} ${tag}`, port, addresses: [] };
  }
  if (network.kind === 'vxlan') {
    const id = network.vxlan_id;
    if (id === null) return { code: 'tag_missing', reason: `the VXLAN network ${network.name} has no id` };
    const group = network.vxlan_group === null ? {} : { group: network.vxlan_group };
    const below = { parent: parent.name, ...localAddress(parent, network.vxlan_group) };
    const port = { kind: 'vxlan', name: vxlanName(id), id, ...group, ...below, port: 4789, mtu } as const;
    return { key: `vxlan ${id}`, port, addresses: [] };
  }
  return {
    key: `flat ${parent.name}`,
    port: { kind: 'interface', name: parent.name },
    addresses: parent.addresses.map(({ address, gateway }) => ({ address, ...(gateway === null ? {} : { gateway }) })),
  };
}

/** The host's interface below a network: of its purpose, not a bond's member; bonds before the others. */
function parentOf(interfaces: readonly NodeInterface[], network: Network): NodeInterface | undefined {
  const rank = (one: NodeInterface): number =>
    // A VXLAN needs an address below; a VLAN or a plain bridge wants the wire, not another VLAN.
    (network.kind === 'vxlan' && one.addresses.length === 0 ? 10 : 0) + { bond: 0, physical: 1, vlan: 2 }[one.kind];
  return interfaces.filter((one) => one.purpose === network.purpose && one.bond === null).sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1))[0];
}

/** The host's own address of the group's family: VXLAN needs both ends to be of one. */
function localAddress(parent: NodeInterface, group: string | null): { readonly local?: string } {
  const wanted = parent.addresses.find(({ address }) => group === null || address.includes(':') === group.includes(':'));
  return wanted === undefined ? {} : { local: wanted.address.replace(/\/.*$/, '') };
}
