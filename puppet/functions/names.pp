# @summary What the distribution calls the packages and services of a part.
#
# @api private
#
# @param part
#   `hypervisor`, `lvm`, `nfs`, `ceph`, `ceph_mon` or `ceph_osd`.
# @return
#   `packages` and `services`, each a list of names. Fails for a family of operating systems that is not known.
function corral::names(String[1] $part) >> Struct[{ packages => Array[String], services => Array[String] }] {
  $family = $facts['os']['family']
  $names = case $family {
    'Debian': {
      {
        'hypervisor' => {
          'packages' => [
            'libvirt-daemon-system', 'libvirt-daemon-driver-storage-rbd', 'libvirt-clients', 'python3-libvirt',
            'qemu-system-x86', 'qemu-block-extra', 'qemu-utils', 'ovmf', 'xorriso',
          ],
          'services' => ['libvirtd'],
        },
        'lvm'        => { 'packages' => ['lvm2'], 'services' => [] },
        'nfs'        => { 'packages' => ['nfs-common'], 'services' => [] },
        'ceph'       => { 'packages' => ['ceph-common'], 'services' => [] },
        'ceph_mon'   => { 'packages' => ['ceph-mon', 'ceph-mgr'], 'services' => [] },
        'ceph_osd'   => { 'packages' => ['ceph-osd'], 'services' => [] },
      }
    }
    'RedHat': {
      {
        'hypervisor' => {
          'packages' => [
            'libvirt-daemon', 'libvirt-daemon-driver-qemu', 'libvirt-daemon-driver-storage', 'libvirt-client',
            'python3-libvirt', 'qemu-kvm', 'qemu-img', 'edk2-ovmf', 'xorriso',
          ],
          'services' => ['libvirtd'],
        },
        'lvm'        => { 'packages' => ['lvm2'], 'services' => [] },
        'nfs'        => { 'packages' => ['nfs-utils'], 'services' => [] },
        'ceph'       => { 'packages' => ['ceph-common'], 'services' => [] },
        'ceph_mon'   => { 'packages' => ['ceph-mon', 'ceph-mgr'], 'services' => [] },
        'ceph_osd'   => { 'packages' => ['ceph-osd'], 'services' => [] },
      }
    }
    default: {
      fail("corral: the packages of ${family} are not known: set corral::manage_packages and corral::manage_services to false")
    }
  }
  $names[$part]
}
