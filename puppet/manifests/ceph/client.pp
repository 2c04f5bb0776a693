# @summary A client of Ceph clusters: their configuration files and the keys that it may use.
#
# All parameters come from Corral's Hiera data.
#
# @param clusters
#   The clusters by name, each with its monitors.
# @param keys
#   The keys that the client holds, by cluster and entity.
class corral::ceph::client (
  Hash[String[1], Hash[String[1], Any]]                                           $clusters = {},
  Variant[Hash[String[1], Corral::Things], Sensitive[Hash[String[1], Corral::Things]]] $keys = {},
) {
  include corral
  require corral::ceph

  $clusters.each |$name, $cluster| {
    corral::ceph_config($cluster.filter |$key, $_| { $key != 'peers' }, $cluster['peers'])
  }
  $keys.unwrap.each |$cluster, $entities| {
    corral::ceph_keyrings($cluster, Sensitive($entities))
  }

  Class['corral::ceph::client'] -> Corral_document[$corral::document]
}
