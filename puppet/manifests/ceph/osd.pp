# @summary A node with Ceph OSDs.
#
# With `ensure: absent` an OSD leaves its cluster first. All parameters come from Corral's Hiera data.
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
  Corral::Things       $osds    = {},
  Corral::Things       $keys    = {},
) {
  include corral
  require corral::ceph

  corral::install { 'ceph_osd': }

  # Without a cluster there are only OSDs to remove.
  unless $cluster.empty {
    corral::ceph_config($cluster, $peers)
    corral::ceph_keyrings($cluster['name'], $keys)
  }
  $about = { 'cluster' => $cluster }.filter |$_, $value| { !$value.empty }
  ['present', 'absent'].each |$ensure| {
    corral::entries($osds, $ensure, $about).each |$uuid, $attributes| {
      corral_ceph_osd { $uuid:
        *       => $attributes,
        require => Corral::Install['ceph_osd'],
      }
    }
  }

  Class['corral::ceph::osd'] -> Corral_document[$corral::document]
}
