# frozen_string_literal: true

require_relative '../../puppet_x/corral/host_type' unless defined?(PuppetX::Corral::HostType)

Puppet::Type.newtype(:corral_ceph_keyring) do
  @doc = <<~DOC
    A keyring file for one key of a Ceph cluster. The title is `<cluster>/<entity>`.

    The parameter `spec` is its entry in the node's document. The properties are read-only: they show
    what differed from it.
  DOC

  include PuppetX::Corral::HostType

  newproperty(:secret, parent: PuppetX::Corral::HostProperty) do
    desc 'The key, as `sha256:` and the first twelve digits of its digest.'
  end

  newproperty(:mode, parent: PuppetX::Corral::HostProperty) do
    desc "The file's mode and owner."
  end

  autorequire(:corral_ceph_config) { [self[:name].split('/').first] }
end
