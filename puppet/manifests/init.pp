# @summary What every node of Corral has: a record of the document that was applied to it.
#
# Writes document.json with the node's name, roles and the version of its document. The compile fails
# when Hiera has no document for this node, when it is another node's, or when it is of another
# version than the one that the ENC classified the node with.
#
# All parameters come from Corral's Hiera data, except config_dir.
#
# @example Classification comes from the ENC; to try the class by hand
#   include corral
#
# @param document
#   The version of the node's document. Required: without Corral's data nothing may be applied.
# @param node
#   The certname that the document is for. Required for the same reason.
# @param roles
#   The node's roles, for example `hypervisor` and `ceph_osd`.
# @param site
#   The site that the node is at.
# @param interfaces
#   The node's own interfaces by name, with their addresses. Not applied yet.
# @param config_dir
#   The directory that all files of this module are written to.
class corral (
  String[1]                           $document,
  String[1]                           $node,
  Array[String[1]]                    $roles      = [],
  Optional[String]                    $site       = undef,
  Hash[String[1], Any]                $interfaces = {},
  Pattern[/\A\/[^\0]+\z/]             $config_dir = '/etc/corral',
) {
  if $trusted['certname'] =~ String[1] and $node != $trusted['certname'] {
    fail("corral: the data is for the node ${node}, not for ${trusted['certname']}")
  }
  # Set by the ENC; Hiera without the ENC has nothing to compare with.
  $classified = getvar('::corral_document')
  if $classified =~ String and $classified != $document {
    fail("corral: ${node} was classified with document ${classified}, but its data is of ${document}")
  }

  # client.yaml is here too, and puppetserver's user reads it.
  file { $config_dir:
    ensure => directory,
    owner  => 'root',
    mode   => '0755',
  }

  file { "${config_dir}/document.json":
    ensure  => file,
    owner   => 'root',
    mode    => '0600',
    content => corral::to_json({
        'document' => $document,
        'node'     => $node,
        'roles'    => $roles,
        'site'     => $site,
    }),
  }
}
