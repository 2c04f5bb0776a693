# frozen_string_literal: true

require_relative '../../puppet_x/corral/host_type' unless defined?(PuppetX::Corral::HostType)

Puppet::Type.newtype(:corral_pool) do
  @doc = <<~DOC
    A storage pool of libvirt.

    The parameter `spec` is its entry in the node's document. The properties are read-only: they show
    what differed from it.
  DOC

  include PuppetX::Corral::HostType

  newproperty(:definition, parent: PuppetX::Corral::HostProperty) do
    desc "The pool's source and target, as libvirt's XML says them."
  end

  newproperty(:state, parent: PuppetX::Corral::HostProperty) do
    desc '`active` or `inactive`.'
  end

  newproperty(:autostart, parent: PuppetX::Corral::HostProperty) do
    desc 'Whether libvirt starts it with the host.'
  end

  autorequire(:corral_secret) { mentioned(:corral_secret) }
  autorequire(:corral_ceph_config) { [field('cluster')].compact }
  autorequire(:corral_ceph_pool) { ["#{field('cluster')}/#{field('target')}"] }
  autobefore(:corral_secret) { gone? ? gone(:corral_secret) : [] }
end
