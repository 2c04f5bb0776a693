# @summary The package corral-host and its daemon corral-hostd, which starts Puppet when the document changes.
#
# @api private
class corral::host {
  include corral

  if $corral::manage_packages {
    $provider = $corral::package_source ? {
      undef   => undef,
      /\.rpm/ => 'rpm',
      default => 'dpkg',
    }
    package { 'corral-host':
      ensure   => installed,
      source   => $corral::package_source,
      provider => $provider,
    }
  }

  if $corral::hostd_url {
    # client.yaml may be here too, and puppetserver's user reads it.
    file { '/etc/corral':
      ensure => directory,
      owner  => 'root',
      mode   => '0755',
    }
    file { '/etc/corral/hostd.conf':
      ensure  => file,
      owner   => 'root',
      mode    => '0644',
      content => epp('corral/hostd.conf.epp', {
          'url'      => $corral::hostd_url,
          'node'     => $corral::node,
          'ca_file'  => $corral::hostd_ca_file,
          'interval' => $corral::hostd_interval,
      }),
    }
    if $corral::hostd_token {
      file { '/etc/corral/node.token':
        ensure  => file,
        owner   => 'root',
        group   => 'corral-host',
        mode    => '0640',
        content => Sensitive("${corral::hostd_token.unwrap}\n"),
      }
    }
    if $corral::manage_services {
      service { ['corral-hostd', 'corral-converge.path']:
        ensure    => running,
        enable    => true,
        subscribe => File['/etc/corral/hostd.conf'],
      }
      if $corral::hostd_token {
        File['/etc/corral/node.token'] ~> Service['corral-hostd']
      }
    }
    if $corral::manage_packages {
      Package['corral-host'] -> File['/etc/corral']
    }
  }
}
