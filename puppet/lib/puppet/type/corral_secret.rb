# frozen_string_literal: true

require_relative '../../puppet_x/corral/host_type' unless defined?(PuppetX::Corral::HostType)

Puppet::Type.newtype(:corral_secret) do
  @doc = <<~DOC
    A secret of libvirt: a Ceph key that pools and disks name by its uuid, which is the title.

    The parameter `spec` is its entry in the node's document. The properties are read-only: they show
    what differed from it.
  DOC

  include PuppetX::Corral::HostType

  newproperty(:definition, parent: PuppetX::Corral::HostProperty) do
    desc "What the secret is for, as libvirt's XML says it."
  end

  newproperty(:value, parent: PuppetX::Corral::HostProperty) do
    desc 'The key, as `sha256:` and the first twelve digits of its digest.'
  end
end
