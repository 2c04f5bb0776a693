# @summary Declares the files of keys of a cluster; a function for the reason that corral::ceph_config has.
#
# @api private
#
# @param cluster
#   The cluster's name.
# @param keys
#   The keys by entity.
function corral::ceph_keyrings(String[1] $cluster, Corral::Things $keys) {
  ['present', 'absent'].each |$ensure| {
    corral::entries($keys, $ensure).each |$entity, $attributes| {
      unless defined(Corral_ceph_keyring["${cluster}/${entity}"]) {
        corral_ceph_keyring { "${cluster}/${entity}":
          *       => $attributes,
          require => Class['corral::ceph'],
        }
      }
    }
  }
}
