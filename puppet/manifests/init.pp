# @summary What every node of Corral has: corral-host, its daemon, and the record of the document that was applied.
#
# The compile fails when Hiera has no document for this node, when it is another node's, or when it is of
# another version than the one that the ENC classified the node with.
#
# `document`, `node`, `roles`, `site` and `interfaces` come from Corral's Hiera data; the others are the
# site's, from its own Hiera data.
#
# @example Classification comes from the ENC; to try the class by hand
#   include corral
#
# @example The site's own Hiera data
#   corral::hostd_url: https://corral.example.net
#   corral::package_source: /srv/packages/corral-host.deb
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
#   The node's own interfaces by name, with their addresses. Nothing is made of them: they are the
#   operating system's.
# @param manage_packages
#   Whether the packages that the node's roles need are installed.
# @param manage_services
#   Whether the services of those packages are started, and started with the host.
# @param package_source
#   A file with the package corral-host (.deb or .rpm), instead of the node's package repositories. What
#   it needs, python3 and adduser, must be there.
# @param hostd_url
#   Corral's address for the daemon corral-hostd. Without it the daemon is not set up.
# @param hostd_token
#   This node's token of Corral. Without it somebody else puts it into /etc/corral/node.token.
# @param hostd_ca_file
#   A file with the certificates of the authorities that sign Corral's. Without it, the system's.
# @param hostd_interval
#   Seconds between two heartbeats.
class corral (
  String[1]                                              $document,
  String[1]                                              $node,
  Array[String[1]]                                       $roles           = [],
  Optional[String]                                       $site            = undef,
  Hash[String[1], Any]                                   $interfaces      = {},
  Boolean                                                $manage_packages = true,
  Boolean                                                $manage_services = true,
  Optional[Pattern[/\A\/.*\.(deb|rpm)\z/]]               $package_source  = undef,
  Optional[Pattern[/\Ahttps?:\/\/[^\s]+\z/]]             $hostd_url       = undef,
  Optional[Variant[Sensitive[String[1]], String[1]]]     $hostd_token     = undef,
  Optional[Pattern[/\A\/[^\s]+\z/]]                      $hostd_ca_file   = undef,
  Integer[1, 3600]                                       $hostd_interval  = 10,
) {
  if $trusted['certname'] =~ String[1] and $node != $trusted['certname'] {
    fail("corral: the data is for the node ${node}, not for ${trusted['certname']}")
  }
  # Set by the ENC; Hiera without the ENC has nothing to compare with.
  $classified = getvar('::corral_document')
  if $classified =~ String and $classified != $document {
    fail("corral: ${node} was classified with document ${classified}, but its data is of ${document}")
  }

  contain corral::host

  # In this order: storage pools may be on this node's own OSDs. They do not depend on them, or one broken
  # disk would keep the virtual machines from their changes.
  if 'ceph_mon' in $roles {
    include corral::ceph::mon
  }
  if 'ceph_osd' in $roles {
    include corral::ceph::osd
  }
  if lookup('corral::ceph::client::clusters', Optional[Hash], 'first', undef) {
    include corral::ceph::client
  }

  # It comes after all other resources of Corral by itself.
  corral_document { $document:
    ensure  => present,
    spec    => {
      'node'    => $node,
      'version' => $document,
      'roles'   => $roles,
      'site'    => $site,
    },
    require => Class['corral::host'],
  }
}
