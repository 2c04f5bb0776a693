import type { Layer } from '../modules/layers/types.ts';

/**
 * Everything that one node's document is made from, as plain data: `node.load.ts` fills it with one
 * SQL statement, and the pure functions beside this file turn it into documents. Sizes are bytes,
 * bandwidth is bytes/s, memory is bytes. `null` always means "not set". Lists are sorted by the loader,
 * so that the same rows give the same bytes.
 */
export interface NodeAggregate {
  readonly node: {
    readonly id: number;
    /** Lower-case fully qualified name: Puppet's certname and Salt's minion id. */
    readonly fqdn: string;
    readonly location: string | null;
    readonly state: 'running' | 'stopped' | 'maintenance' | 'deactivated';
    readonly environment: string;
    readonly manager: 'puppet' | 'salt';
    readonly site: string;
  };
  readonly interfaces: readonly NodeInterface[];
  readonly hypervisor: Hypervisor | null;
  readonly ceph_mon: CephMon | null;
  readonly ceph_osd: CephOsdNode | null;
  /** What the host is told to remove: nothing else is ever removed. */
  readonly tombstones: readonly Tombstone[];
  /** What operators attached to scopes that reach it, most specific first, secrets opened. Absent: nothing. */
  readonly layers?: readonly Layer[];
}

export interface NodeInterface {
  readonly name: string;
  readonly kind: 'physical' | 'bond' | 'vlan';
  /** For a VLAN: the interface below. */
  readonly parent: string | null;
  /** For a bond's member: the bond. */
  readonly bond: string | null;
  readonly vlan_tag: number | null;
  readonly mac: string | null;
  readonly mtu: number;
  readonly purpose: 'public' | 'storage' | 'backup' | 'management';
  /** CIDR form with the host's own address, e.g. 192.0.2.10/24; gateway without prefix. */
  readonly addresses: readonly { readonly address: string; readonly gateway: string | null }[];
}

export interface Hypervisor {
  readonly methods: readonly string[];
  readonly cores: number;
  readonly ram: number;
  readonly local_path: string;
  readonly volume_group: string | null;
  readonly vms: readonly Vm[];
  /** Pools attached to this hypervisor. */
  readonly pools: readonly StoragePool[];
  /** Volumes that lie on this host's pools (local), and those of its VMs (shared). */
  readonly volumes: readonly Volume[];
  /** Networks that some interface of some VM here is a member of. */
  readonly networks: readonly Network[];
  /** Ceph keys that the pools attached here authenticate with, and their clusters. */
  readonly ceph: readonly CephClient[];
}

export interface Vm {
  readonly id: number;
  readonly uuid: string;
  readonly name: string;
  readonly customer: string | null;
  readonly project: string | null;
  readonly cores: number;
  /** vCPUs that can be plugged without a restart: at least `cores`. */
  readonly cores_max: number;
  readonly ram: number;
  /** Memory that can be given without a restart: at least `ram`. */
  readonly ram_max: number;
  /** Per cent of one host core that each vCPU may use, 1 to 100; null is no limit. */
  readonly cputime_limit: number | null;
  readonly cpu_mode: 'host-model' | 'host-passthrough' | 'maximum' | 'custom';
  /** Named CPU model; only with cpu_mode custom. */
  readonly cpu_model: string | null;
  readonly machine: 'q35' | 'pc' | 'virt';
  readonly firmware: 'bios' | 'uefi' | 'uefi-secure';
  readonly boot_order: readonly ('disk' | 'network' | 'cdrom')[];
  readonly rtc: 'utc' | 'localtime';
  readonly state: 'running' | 'stopped' | 'paused';
  /** Names of other nodes that have not removed it yet: it must not run here as long as there is one. */
  readonly held_by: readonly string[];
  /** KVM, QEMU, LXC, Docker, systemd-nspawn, ... */
  readonly method: string;
  readonly volumes: readonly Volume[];
  readonly interfaces: readonly VmInterface[];
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly cloud_init: Readonly<Record<string, unknown>> | null;
}

export interface Volume {
  readonly id: number;
  /** Unique in the fleet; the file's, logical volume's or image's name, e.g. vol-17 or the name given. */
  readonly name: string;
  readonly pool: string;
  readonly size: number;
  readonly type: 'qcow2' | 'raw' | 'lvm' | 'rbd';
  /** Place among its VM's volumes, counted from 0 (vda, vdb, ...); null when free. */
  readonly number: number | null;
  readonly cache_option: 'default' | 'none' | 'writethrough' | 'writeback' | 'directsync' | 'unsafe';
  readonly read_iops: number | null;
  readonly write_iops: number | null;
  readonly read_bps: number | null;
  readonly write_bps: number | null;
  /** Pass the guest's discards down. */
  readonly discard: boolean;
  /** Image that the volume is first filled from. */
  readonly image: { readonly name: string; readonly url: string; readonly type: string; readonly checksum: string | null } | null;
}

export interface VmInterface {
  readonly number: number;
  /** `<vm_id>-<n>`; its bridge is `br-<vm_id>-<n>`. */
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly addresses: readonly {
    /** Without prefix, e.g. 203.0.113.7 */
    readonly address: string;
    readonly subnet: string;
    readonly gateway: string | null;
  }[];
  /** Networks (by name) that the interface is a member of: at most one untagged. */
  readonly networks: readonly { readonly network: string; readonly tagged: boolean }[];
}

export interface Network {
  readonly name: string;
  readonly kind: 'flat' | 'vlan' | 'vxlan' | 'routed';
  readonly vlan_tag: number | null;
  readonly vxlan_id: number | null;
  /** Multicast group of a VXLAN. */
  readonly vxlan_group: string | null;
  readonly mtu: number;
  /** The host's interface (of this purpose) that carries it. */
  readonly purpose: NodeInterface['purpose'];
  readonly subnets: readonly { readonly cidr: string; readonly gateway: string | null; readonly dhcp: boolean; readonly dns: readonly string[] }[];
}

export interface StoragePool {
  readonly name: string;
  readonly kind: 'dir' | 'lvm' | 'rbd' | 'nfs';
  /** Directory (dir; the mount point for nfs), volume group (lvm), or Ceph pool name (rbd). */
  readonly target: string;
  /** For nfs: host:/export. */
  readonly source: string | null;
  /** For rbd. */
  readonly cluster: string | null;
  readonly ceph_user: string | null;
  readonly secret_uuid: string | null;
  readonly monitors: readonly { readonly host: string; readonly port: number }[];
}

export interface CephCluster {
  readonly name: string;
  readonly fsid: string;
  readonly public_network: string;
  readonly cluster_network: string | null;
  readonly monitors: readonly {
    readonly name: string;
    readonly host: string;
    readonly address: string | null;
    readonly port: number;
    /** The first that the cluster was given: it alone may begin the cluster, so that there are never two. */
    readonly founder: boolean;
  }[];
}

export interface CephKey {
  /** e.g. client.libvirt, mon., client.bootstrap-osd */
  readonly entity: string;
  readonly caps: Readonly<Record<string, string>>;
  /** The key in Ceph's own base64 form, already decrypted by the loader. */
  readonly secret: string;
  /** For libvirt's secret object. */
  readonly secret_uuid: string;
}

export interface CephClient {
  readonly cluster: CephCluster;
  readonly keys: readonly CephKey[];
}

export interface CephMon {
  readonly cluster: CephCluster;
  readonly port: number;
  readonly pools: readonly {
    readonly name: string;
    readonly size: number;
    readonly min_size: number;
    readonly pg_num: number;
    readonly application: string;
  }[];
  /** All keys of the cluster: the monitors register them. */
  readonly keys: readonly CephKey[];
}

export interface CephOsdNode {
  readonly cluster: CephCluster;
  readonly osds: readonly {
    readonly uuid: string;
    readonly data_device: string;
    readonly db_device: string | null;
    readonly device_class: string;
    readonly weight: number;
  }[];
  /** client.bootstrap-osd only. */
  readonly keys: readonly CephKey[];
}

export interface Tombstone {
  readonly kind: 'domain' | 'volume' | 'bridge' | 'pool' | 'secret' | 'osd' | 'mon' | 'key';
  readonly name: string;
  /** What the host needs to find the thing, e.g. {uuid} of a domain, {pool} of a volume. */
  readonly detail: Readonly<Record<string, unknown>>;
}
