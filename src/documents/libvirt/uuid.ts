/** Name-based UUIDs, for libvirt objects that have no uuid in the model. */
import { createHash } from 'node:crypto';

/** Corral's own namespace for RFC 9562 version 5 UUIDs: a random UUID, fixed for ever. */
const NAMESPACE = Buffer.from('6f1c2f0e9a5d4b7c8d3e0a1b2c3d4e5f', 'hex');

/** The version 5 UUID of a name, e.g. of `pool:local`: the same on every host and at every time. */
export function nameUuid(name: string): string {
  const bytes = createHash('sha1').update(NAMESPACE).update(name).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x50, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
