# frozen_string_literal: true

require_relative '../../puppet_x/corral/host_type' unless defined?(PuppetX::Corral::HostType)

Puppet::Type.newtype(:corral_volume) do
  @doc = <<~DOC
    A volume in a storage pool. It is created and grown, and never shrunk; with `ensure => absent` its data is deleted.

    The parameter `spec` is its entry in the node's document. The properties are read-only: they show
    what differed from it.
  DOC

  include PuppetX::Corral::HostType

  newproperty(:capacity, parent: PuppetX::Corral::HostProperty) do
    desc 'The size that the guest sees, in bytes.'
  end

  newproperty(:format, parent: PuppetX::Corral::HostProperty) do
    desc '`raw` or `qcow2`.'
  end

  newproperty(:content, parent: PuppetX::Corral::HostProperty) do
    desc 'What it was filled from.'
  end

  autorequire(:corral_pool) { present(:corral_pool).select { |pool| pool[:name] == field('pool') } }
  autobefore(:corral_pool) { gone? ? gone(:corral_pool) : [] }
end
