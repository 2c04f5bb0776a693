# frozen_string_literal: true

require_relative '../../puppet_x/corral/host_type' unless defined?(PuppetX::Corral::HostType)

Puppet::Type.newtype(:corral_ceph_config) do
  @doc = <<~DOC
    The configuration file of a Ceph cluster; the title is the cluster's name.

    The parameter `spec` is its entry in the node's document. The properties are read-only: they show
    what differed from it.
  DOC

  include PuppetX::Corral::HostType

  newproperty(:content, parent: PuppetX::Corral::HostProperty) do
    desc 'The file, as a digest of it.'
  end
end
