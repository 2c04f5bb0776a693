# @summary A hypervisor: libvirt and QEMU, and the bridges, storage and virtual machines of the document.
#
# Only what the document names is touched: with `ensure: absent` it goes away, and what the document does
# not name stays as it is. All parameters come from Corral's Hiera data.
#
# @param domains
#   The virtual machines by name.
# @param volumes
#   The volumes by name.
# @param pools
#   The storage pools by name.
# @param bridges
#   The bridges by name.
# @param secrets
#   The libvirt secrets by uuid.
class corral::hypervisor (
  Corral::Things $domains = {},
  Corral::Things $volumes = {},
  Corral::Things $pools   = {},
  Corral::Things $bridges = {},
  Corral::Things $secrets = {},
) {
  include corral
  require corral::host

  $kinds = $pools.unwrap.map |$_, $pool| { $pool['kind'] }
  $parts = ['hypervisor'] + ['lvm', 'nfs'].filter |$kind| { $kind in $kinds }
  corral::install { $parts: }

  # Where no dependency decides, Puppet applies things in the order in which it meets them.
  [
    ['corral_domain', $domains, 'absent'],
    ['corral_secret', $secrets, 'present'],
    ['corral_bridge', $bridges, 'present'],
    ['corral_pool', $pools, 'present'],
    ['corral_volume', $volumes, 'present'],
    ['corral_domain', $domains, 'present'],
    ['corral_volume', $volumes, 'absent'],
    ['corral_bridge', $bridges, 'absent'],
    ['corral_pool', $pools, 'absent'],
    ['corral_secret', $secrets, 'absent'],
  ].each |$row| {
    [$type, $things, $ensure] = $row
    corral::entries($things, $ensure).each |$name, $attributes| {
      Resource[$type] { $name:
        *       => $attributes,
        require => Corral::Install[$parts],
      }
    }
  }

  Class['corral::hypervisor'] -> Corral_document[$corral::document]
}
