# frozen_string_literal: true

require_relative '../../puppet_x/corral/host_type' unless defined?(PuppetX::Corral::HostType)

Puppet::Type.newtype(:corral_ceph_pool) do
  @doc = <<~DOC
    A pool of a Ceph cluster. The title is `<cluster>/<pool>`; for hosts with a monitor.

    The parameter `spec` is its entry in the node's document. The properties are read-only: they show
    what differed from it.
  DOC

  include PuppetX::Corral::HostType

  newproperty(:size, parent: PuppetX::Corral::HostProperty) do
    desc 'The number of copies.'
  end

  newproperty(:min_size, parent: PuppetX::Corral::HostProperty) do
    desc 'The copies that must be there to write.'
  end

  newproperty(:pg_num, parent: PuppetX::Corral::HostProperty) do
    desc 'The number of placement groups.'
  end

  newproperty(:application, parent: PuppetX::Corral::HostProperty) do
    desc 'What uses it, for example `rbd`.'
  end

  autorequire(:corral_ceph_mon) { present(:corral_ceph_mon) }
end
