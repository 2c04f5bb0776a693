# frozen_string_literal: true

require_relative '../../puppet_x/corral/host_type' unless defined?(PuppetX::Corral::HostType)

Puppet::Type.newtype(:corral_ceph_key) do
  @doc = <<~DOC
    A key of a Ceph cluster with what it may do. The title is `<cluster>/<entity>`; for hosts with a monitor.

    The parameter `spec` is its entry in the node's document. The properties are read-only: they show
    what differed from it.
  DOC

  include PuppetX::Corral::HostType

  newproperty(:caps, parent: PuppetX::Corral::HostProperty) do
    desc 'What the key may do, by service.'
  end

  newproperty(:secret, parent: PuppetX::Corral::HostProperty) do
    desc 'The key, as `sha256:` and the first twelve digits of its digest.'
  end

  autorequire(:corral_ceph_mon) { present(:corral_ceph_mon) }
end
