# @summary The libvirt XML of each virtual machine of a hypervisor, as a file.
#
# Only what the document names is touched: a domain with `ensure: absent` loses its file, and a file
# that the document does not name stays as it is.
#
# @param domains
#   The virtual machines by name; each with `ensure` (present or absent), and if present with `xml`,
#   or with `unsupported` and why Corral has no XML for it: its file is left as it is.
# @param volumes
#   The volumes by name. Not applied yet.
# @param pools
#   The storage pools by name. Not applied yet.
# @param bridges
#   The bridges by name. Not applied yet.
# @param secrets
#   The libvirt secrets by uuid. Not applied yet.
class corral::hypervisor (
  Hash[Corral::Name, Hash[String[1], Any]] $domains = {},
  Hash[String[1], Any]                     $volumes = {},
  Hash[String[1], Any]                     $pools   = {},
  Hash[String[1], Any]                     $bridges = {},
  Corral::Keys                             $secrets = {},
) {
  include corral

  $dir = "${corral::config_dir}/domains"

  file { $dir:
    ensure => directory,
    owner  => 'root',
    mode   => '0700',
  }

  $domains.each |$name, $domain| {
    case $domain['ensure'] {
      'present': {
        if $domain['xml'] =~ String[1] {
          file { "${dir}/${name}.xml":
            ensure  => file,
            owner   => 'root',
            mode    => '0600',
            content => $domain['xml'],
          }
        } elsif $domain['unsupported'] =~ NotUndef {
          warning("corral::hypervisor: the domain ${name} is not for libvirt: ${domain['unsupported']}")
        } else {
          fail("corral::hypervisor: the domain ${name} has no xml")
        }
      }
      'absent': {
        file { "${dir}/${name}.xml":
          ensure => absent,
        }
      }
      default: {
        fail("corral::hypervisor: the domain ${name} has ensure '${domain['ensure']}', not present or absent")
      }
    }
  }
}
