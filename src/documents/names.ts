/** Names of network devices: the kernel takes 15 bytes, so what can be longer is a hash. */
import { createHash } from 'node:crypto';

const known = new Map<string, string>();

/** First hex digits of sha256: the same name on every host and in every process. */
function digest(text: string, digits: number): string {
  const key = `${digits}:${text}`;
  let value = known.get(key);
  if (value === undefined) {
    value = createHash('sha256').update(text).digest('hex').slice(0, digits);
    if (known.size > 10_000) known.clear();
    known.set(key, value);
  }
  return value;
}

/** The bridge of a VM interface: `br-<vm_id>-<n>`. */
export function bridgeName(nic: { readonly name: string }): string {
  return `br-${nic.name}`;
}

/** The bridge that the interfaces behind one uplink share on a host, e.g. cn-1f0c9a2be4. */
export function networkBridgeName(uplink: string): string {
  return `cn-${digest(uplink, 10)}`;
}

/** The VLAN device of a tag on a host's interface, e.g. cv4094-1f0c9a2b: the parent's own name may be 15 long. */
export function vlanName(parent: string, tag: number): string {
  return `cv${tag}-${digest(parent, 8)}`;
}

/** The VXLAN device of an id (24 bits), e.g. cx16777215. */
export function vxlanName(id: number): string {
  return `cx${id}`;
}

/** The two ends of the cable between a VM's bridge and a network's: in the VM's bridge, in the other. */
export function cableNames(nic: { readonly name: string }, bridge: string): readonly [string, string] {
  const tail = digest(`${nic.name} ${bridge}`, 12);
  return [`ca${tail}`, `cb${tail}`];
}
