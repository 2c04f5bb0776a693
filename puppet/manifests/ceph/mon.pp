# @summary A node with a Ceph monitor and its manager, and what the cluster has: keys and pools.
#
# All parameters come from Corral's Hiera data.
#
# @param cluster
#   The cluster that the monitor belongs to: its name, fsid and networks.
# @param port
#   The port that the monitor listens on. It is in `peers` too, which is what counts.
# @param peers
#   The cluster's monitors by name. The one with this node's name as its host is made here.
# @param pools
#   The cluster's pools by name.
# @param keys
#   The cluster's keys by entity.
class corral::ceph::mon (
  Hash[String[1], Any] $cluster = {},
  Optional[Integer[1]] $port    = undef,
  Corral::Things       $peers   = {},
  Corral::Things       $pools   = {},
  Corral::Things       $keys    = {},
) {
  include corral
  require corral::ceph

  corral::install { 'ceph_mon': }

  # One that is absent stands in the document of its own node; of the others this node has one.
  $about = { 'cluster' => $cluster }.filter |$_, $value| { !$value.empty }
  corral::entries($peers, 'absent', $about).each |$name, $attributes| {
    corral_ceph_mon { $name:
      *       => $attributes,
      require => Corral::Install['ceph_mon'],
    }
  }

  # Without a cluster there is only a monitor to remove.
  unless $cluster.empty {
    $own = corral::entries($peers, 'present').filter |$_, $attributes| {
      $attributes['spec']['host'] == $corral::node
    }
    if $own.empty {
      fail("corral::ceph::mon: none of the monitors of ${cluster['name']} is on ${corral::node}: ${peers.unwrap.keys}")
    }
    corral::ceph_config($cluster, $peers)
    corral::ceph_keyrings($cluster['name'], Sensitive($keys.unwrap.filter |$entity, $_| { $entity == 'client.admin' }))
    $own.each |$name, $_| {
      corral_ceph_mon { $name:
        ensure  => present,
        spec    => Sensitive({
            'cluster' => $cluster,
            'peers'   => $peers,
            'keys'    => $keys.unwrap.filter |$entity, $_| { $entity in ['mon.', 'client.admin'] },
        }),
        require => Corral::Install['ceph_mon'],
      }
    }
    ['present', 'absent'].each |$ensure| {
      corral::entries($keys, $ensure).each |$entity, $attributes| {
        corral_ceph_key { "${cluster['name']}/${entity}":
          * => $attributes,
        }
      }
    }
    # A pool can be used once there are OSDs: this node's own come before it.
    if 'ceph_osd' in $corral::roles {
      include corral::ceph::osd
    }
    ['present', 'absent'].each |$ensure| {
      corral::entries($pools, $ensure).each |$name, $attributes| {
        corral_ceph_pool { "${cluster['name']}/${name}":
          * => $attributes,
        }
      }
    }
  }

  Class['corral::ceph::mon'] -> Corral_document[$corral::document]
}
