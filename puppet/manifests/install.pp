# @summary The distribution's packages and services of one part of a node.
#
# @api private
#
# Packages are installed unless `corral::manage_packages` is false, and services run and start with the
# host unless `corral::manage_services` is false.
define corral::install {
  include corral

  if $corral::manage_packages or $corral::manage_services {
    $names = corral::names($title)

    if $corral::manage_packages {
      package { $names['packages']:
        ensure => installed,
      }
    }
    if $corral::manage_services {
      service { $names['services']:
        ensure => running,
        enable => true,
      }
    }
    if $corral::manage_packages and $corral::manage_services {
      Package[$names['packages']] -> Service[$names['services']]
    }
  }
}
