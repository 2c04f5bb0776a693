# @summary What a node with Ceph OSDs needs to know, as a file: ceph-osd.json.
#
# Without a cluster nothing is written and nothing is removed.
#
# @param cluster
#   The cluster that the OSDs belong to: its name, fsid, networks and monitors.
# @param osds
#   The node's OSDs: devices, class and weight.
# @param keys
#   The keys that the node holds, by entity.
class corral::ceph::osd (
  Hash[String[1], Any]               $cluster = {},
  Variant[Hash[String[1], Any], Array] $osds  = {},
  Corral::Keys                       $keys    = {},
) {
  corral::part { 'ceph-osd':
    cluster => $cluster,
    parts   => { 'osds' => $osds, 'keys' => $keys },
  }
}
