# @summary The configuration file of one cluster, for whichever roles of a node need it.
#
# @api private
#
# @param cluster
#   The cluster: its name, fsid and networks.
# @param peers
#   The cluster's monitors by name.
define corral::ceph::cluster (
  Hash[String[1], Any] $cluster,
  Hash[String[1], Any] $peers,
) {
  # All parts of a document say the same of a cluster.
  unless defined(Corral_ceph_config[$cluster['name']]) {
    corral_ceph_config { $cluster['name']:
      ensure => present,
      spec   => { 'cluster' => $cluster, 'peers' => $peers },
    }
  }
}
