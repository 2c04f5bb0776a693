# @summary What a Ceph monitor needs to know, as a file: ceph-mon.json.
#
# Without a cluster nothing is written and nothing is removed.
#
# @param cluster
#   The cluster that the monitor belongs to: its name, fsid and networks.
# @param peers
#   The cluster's monitors by name.
# @param keys
#   The keys that a monitor holds, by entity.
# @param pools
#   The cluster's pools by name.
class corral::ceph::mon (
  Hash[String[1], Any] $cluster = {},
  Hash[String[1], Any] $peers   = {},
  Corral::Keys         $keys    = {},
  Hash[String[1], Any] $pools   = {},
) {
  corral::part { 'ceph-mon':
    cluster => $cluster,
    parts   => { 'peers' => $peers, 'keys' => $keys, 'pools' => $pools },
  }
}
