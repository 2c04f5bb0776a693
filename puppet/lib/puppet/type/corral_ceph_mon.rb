# frozen_string_literal: true

require_relative '../../puppet_x/corral/host_type' unless defined?(PuppetX::Corral::HostType)

Puppet::Type.newtype(:corral_ceph_mon) do
  @doc = <<~DOC
    A Ceph monitor, with the manager beside it, on this host. The title is its name.

    The parameter `spec` is its entry in the node's document. The properties are read-only: they show
    what differed from it.
  DOC

  include PuppetX::Corral::HostType

  newproperty(:state, parent: PuppetX::Corral::HostProperty) do
    desc '`running` or `stopped`.'
  end

  newproperty(:monmap, parent: PuppetX::Corral::HostProperty) do
    desc 'The monitors of the cluster with their addresses, as this one knows them.'
  end

  newproperty(:mgr, parent: PuppetX::Corral::HostProperty) do
    desc 'The state of the manager.'
  end

  autorequire(:corral_ceph_config) { present(:corral_ceph_config) }
end
