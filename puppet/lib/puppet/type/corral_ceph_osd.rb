# frozen_string_literal: true

require_relative '../../puppet_x/corral/host_type' unless defined?(PuppetX::Corral::HostType)

Puppet::Type.newtype(:corral_ceph_osd) do
  @doc = <<~DOC
    A Ceph OSD on this host. The title is its uuid.

    The parameter `spec` is its entry in the node's document. The properties are read-only: they show
    what differed from it.
  DOC

  include PuppetX::Corral::HostType

  newproperty(:state, parent: PuppetX::Corral::HostProperty) do
    desc '`running` or `stopped`.'
  end

  newproperty(:device_class, parent: PuppetX::Corral::HostProperty) do
    desc '`hdd`, `ssd` or `nvme`.'
  end

  newproperty(:weight, parent: PuppetX::Corral::HostProperty) do
    desc 'Its weight in the CRUSH map.'
  end

  autorequire(:corral_ceph_config) { present(:corral_ceph_config) }
  autorequire(:corral_ceph_mon) { present(:corral_ceph_mon) }
  %i[corral_ceph_key corral_ceph_keyring].each do |type|
    autorequire(type) { present(type).select { |key| key[:name].end_with?('/client.bootstrap-osd') } }
  end
end
