# frozen_string_literal: true

require_relative '../../puppet_x/corral/host_type' unless defined?(PuppetX::Corral::HostType)

Puppet::Type.newtype(:corral_document) do
  @doc = <<~DOC
    The record that this host is as a version of its document says; the title is the version.

    It comes after every other resource of Corral and is skipped when one of them failed. It makes sure
    that what the document says is gone is gone, and writes down the version.
  DOC

  include PuppetX::Corral::HostType

  newproperty(:applied, parent: PuppetX::Corral::HostProperty) do
    desc 'The version that was applied last.'
  end

  # The spec with what this catalogue says is gone.
  def wanted
    gone = PuppetX::Corral::HostRun.of(catalog).resources.select(&:gone?)
    super.merge('absent' => gone.map { |one| { 'kind' => one.kind, 'name' => one[:name], 'spec' => one.wanted } })
  end

  %i[
    corral_ceph_config corral_ceph_keyring corral_ceph_mon corral_ceph_key corral_ceph_osd corral_ceph_pool
    corral_secret corral_bridge corral_pool corral_volume corral_domain
  ].each do |type|
    autorequire(type) { present(type) + gone(type) }
  end
end
