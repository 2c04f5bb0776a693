# @summary What a client of Ceph needs to know, as a file: ceph-client.json.
#
# Without a cluster nothing is written and nothing is removed.
#
# @param cluster
#   The cluster, with its monitors.
# @param keys
#   The keys that the client holds, by entity.
class corral::ceph::client (
  Hash[String[1], Any] $cluster = {},
  Corral::Keys         $keys    = {},
) {
  corral::part { 'ceph-client':
    cluster => $cluster,
    parts   => { 'keys' => $keys },
  }
}
