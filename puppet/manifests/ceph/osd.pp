# @summary What a node with Ceph OSDs needs to know, as a file: ceph-osd.json.
#
# Without any data nothing is written and nothing is removed.
#
# @param cluster
#   The cluster that the OSDs belong to: its name, fsid and networks.
# @param peers
#   The cluster's monitors by name.
# @param osds
#   The node's OSDs by uuid: devices, class and weight.
# @param keys
#   The keys that the node holds, by entity.
class corral::ceph::osd (
  Hash[String[1], Any] $cluster = {},
  Hash[String[1], Any] $peers   = {},
  Hash[String[1], Any] $osds    = {},
  Corral::Keys         $keys    = {},
) {
  corral::part { 'ceph-osd':
    data => {
      'cluster' => $cluster,
      'peers'   => $peers,
      'osds'    => $osds,
      'keys'    => $keys,
    },
  }
}
