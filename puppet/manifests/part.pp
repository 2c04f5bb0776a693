# @summary One part of a node's document as a file in config_dir, for root only.
#
# @api private
#
# @param cluster
#   The Ceph cluster; when it is empty nothing is written.
# @param parts
#   What else goes into the file.
define corral::part (
  Hash[String[1], Any] $cluster,
  Hash[String[1], Any] $parts,
) {
  include corral

  if $cluster.empty {
    warning("corral: the document of ${corral::node} has no cluster for ${title}: nothing is written")
  } else {
    # A Sensitive content is neither logged nor shown as a difference.
    file { "${corral::config_dir}/${title}.json":
      ensure  => file,
      owner   => 'root',
      mode    => '0600',
      content => corral::to_json({ 'cluster' => $cluster } + $parts),
    }
  }
}
