# @summary Keys of a cluster as files in /etc/ceph.
#
# @api private
#
# @param cluster
#   The cluster's name.
# @param keys
#   The keys by entity.
define corral::ceph::keyrings (
  String[1]      $cluster,
  Corral::Things $keys,
) {
  ['present', 'absent'].each |$ensure| {
    corral::entries($keys, $ensure).each |$entity, $attributes| {
      unless defined(Corral_ceph_keyring["${cluster}/${entity}"]) {
        corral_ceph_keyring { "${cluster}/${entity}":
          * => $attributes,
        }
      }
    }
  }
}
