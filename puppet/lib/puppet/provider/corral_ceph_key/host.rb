# frozen_string_literal: true

require_relative '../../../puppet_x/corral/host_provider' unless defined?(PuppetX::Corral::HostProvider)

Puppet::Type.type(:corral_ceph_key).provide(:host, parent: PuppetX::Corral::HostProvider) do
  desc 'Asks the program corral-host, of the package of the same name.'
end
