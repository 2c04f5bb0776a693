# frozen_string_literal: true

require_relative '../../puppet_x/corral/host_type' unless defined?(PuppetX::Corral::HostType)

Puppet::Type.newtype(:corral_domain) do
  @doc = <<~DOC
    A virtual machine of libvirt.

    What can be changed while it runs is changed; what cannot waits for its next start, with a warning in
    each run and without an event. A domain that Corral did not make is never touched.

    The parameter `spec` is its entry in the node's document. The properties are read-only: they show
    what differed from it.
  DOC

  include PuppetX::Corral::HostType

  newproperty(:state, parent: PuppetX::Corral::HostProperty) do
    desc '`running`, `stopped` or `paused`.'
  end

  newproperty(:title, parent: PuppetX::Corral::HostProperty) do
    desc 'What people call it.'
  end

  newproperty(:metadata, parent: PuppetX::Corral::HostProperty) do
    desc "Corral's ids in the domain's XML."
  end

  newproperty(:vcpus, parent: PuppetX::Corral::HostProperty) do
    desc 'The CPUs that it has now.'
  end

  newproperty(:vcpus_max, parent: PuppetX::Corral::HostProperty) do
    desc 'The CPUs that it can have without a restart.'
  end

  newproperty(:memory, parent: PuppetX::Corral::HostProperty) do
    desc 'Its memory now.'
  end

  newproperty(:memory_max, parent: PuppetX::Corral::HostProperty) do
    desc 'The memory that it can have without a restart.'
  end

  newproperty(:cpu_limit, parent: PuppetX::Corral::HostProperty) do
    desc 'How much of the CPUs it may use.'
  end

  newproperty(:cpu, parent: PuppetX::Corral::HostProperty) do
    desc 'The CPU model and topology.'
  end

  newproperty(:boot, parent: PuppetX::Corral::HostProperty) do
    desc 'Firmware, machine type and boot order.'
  end

  newproperty(:clock, parent: PuppetX::Corral::HostProperty) do
    desc 'Its clock and timers.'
  end

  newproperty(:disks, parent: PuppetX::Corral::HostProperty) do
    desc 'Its disks, by their targets.'
  end

  newproperty(:disk_limits, parent: PuppetX::Corral::HostProperty) do
    desc 'The limits of each disk, in bytes and operations a second.'
  end

  newproperty(:interfaces, parent: PuppetX::Corral::HostProperty) do
    desc 'Its network interfaces, by their MAC addresses.'
  end

  newproperty(:devices, parent: PuppetX::Corral::HostProperty) do
    desc 'All its other devices.'
  end

  newproperty(:cloud_init, parent: PuppetX::Corral::HostProperty) do
    desc 'The image that configures the guest at its first start.'
  end

  newproperty(:autostart, parent: PuppetX::Corral::HostProperty) do
    desc 'Whether libvirt starts it with the host: never, because Corral does.'
  end

  autorequire(:corral_volume) { mentioned(:corral_volume, 'path', 'image_path') }
  autorequire(:corral_bridge) { mentioned(:corral_bridge) }
  autorequire(:corral_pool) { mentioned(:corral_pool) }
  autorequire(:corral_secret) { mentioned(:corral_secret) }
  # What a domain may still use goes after it.
  %i[corral_volume corral_bridge corral_pool corral_secret].each do |type|
    autobefore(type) { gone? ? gone(type) : [] }
  end
end
