# @summary What a client of Ceph clusters needs to know, as a file: ceph-client.json.
#
# Without any data nothing is written and nothing is removed.
#
# @param clusters
#   The clusters by name, each with its monitors.
# @param keys
#   The keys that the client holds, by cluster and entity.
class corral::ceph::client (
  Hash[String[1], Any] $clusters = {},
  Corral::Keys         $keys     = {},
) {
  corral::part { 'ceph-client':
    data => {
      'clusters' => $clusters,
      'keys'     => $keys,
    },
  }
}
