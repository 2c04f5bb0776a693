# @summary What a Ceph monitor needs to know, as a file: ceph-mon.json.
#
# Without any data nothing is written and nothing is removed.
#
# @param cluster
#   The cluster that the monitor belongs to: its name, fsid and networks.
# @param port
#   The port that the monitor listens on.
# @param peers
#   The cluster's monitors by name.
# @param pools
#   The cluster's pools by name.
# @param keys
#   The cluster's keys by entity.
class corral::ceph::mon (
  Hash[String[1], Any] $cluster = {},
  Optional[Integer[1]] $port    = undef,
  Hash[String[1], Any] $peers   = {},
  Hash[String[1], Any] $pools   = {},
  Corral::Keys         $keys    = {},
) {
  corral::part { 'ceph-mon':
    data => {
      'cluster' => $cluster,
      'port'    => $port,
      'peers'   => $peers,
      'pools'   => $pools,
      'keys'    => $keys,
    },
  }
}
