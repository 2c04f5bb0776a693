# @summary Declares the configuration file of one cluster, for whichever parts of a node need it.
#
# It is a function and not a defined type, because Puppet evaluates those after all classes, and then
# applies what they declare after the hypervisor's storage pools.
#
# @api private
#
# @param cluster
#   The cluster: its name, fsid and networks.
# @param peers
#   The cluster's monitors by name.
function corral::ceph_config(Hash[String[1], Any] $cluster, Hash[String[1], Any] $peers) {
  # All parts of a document say the same of a cluster.
  unless defined(Corral_ceph_config[$cluster['name']]) {
    corral_ceph_config { $cluster['name']:
      ensure  => present,
      spec    => { 'cluster' => $cluster, 'peers' => $peers },
      require => Class['corral::ceph'],
    }
  }
}
