# frozen_string_literal: true

require_relative '../../puppet_x/corral/host_type' unless defined?(PuppetX::Corral::HostType)

Puppet::Type.newtype(:corral_bridge) do
  @doc = <<~DOC
    A Linux bridge with its ports, addresses and routes.

    The parameter `spec` is its entry in the node's document. The properties are read-only: they show
    what differed from it.
  DOC

  include PuppetX::Corral::HostType

  newproperty(:mtu, parent: PuppetX::Corral::HostProperty) do
    desc 'The largest packet, in bytes.'
  end

  newproperty(:state, parent: PuppetX::Corral::HostProperty) do
    desc '`up` or `down`.'
  end

  newproperty(:addresses, parent: PuppetX::Corral::HostProperty) do
    desc 'The addresses of the host on it, with their prefix lengths.'
  end

  newproperty(:routes, parent: PuppetX::Corral::HostProperty) do
    desc 'The routes to the guests on it.'
  end

  newproperty(:forwarding, parent: PuppetX::Corral::HostProperty) do
    desc 'Whether the host routes between it and other links, and answers for its guests.'
  end

  newproperty(:ports, parent: PuppetX::Corral::HostProperty) do
    desc 'The links in it: veth pairs, VLANs, VXLANs and interfaces of the host.'
  end

  newproperty(:vlan_filtering, parent: PuppetX::Corral::HostProperty) do
    desc 'Whether it tells VLANs apart.'
  end

  # A port may sit on another bridge.
  autorequire(:corral_bridge) do
    parents = Array(field('ports')).map { |port| port['parent'] }
    present(:corral_bridge).select { |other| parents.include?(other[:name]) }
  end
end
