# frozen_string_literal: true

# A loaded client stays: a second environment's copy of the same file would only warn about constants.
require_relative '../../../puppet_x/corral/client' unless defined?(PuppetX::Corral::Client)

# @summary Hiera 5 backend: the data that Corral has for this node.
#
# Called once for each compile. Given the version that the ENC client put into the top-scope variable
# `corral_document`, it takes that very version from the ENC client's cache, without a request. When
# the cache has no such version, or there was no ENC, it asks Corral once. It never serves another
# version than the one that the ENC named, and fails rather than serving less than the whole document.
#
# The node is the one in the agent's certificate; with `puppet lookup` it is the one of --node.
#
# @example hiera.yaml
#   hierarchy:
#     - name: Corral
#       data_hash: corral::data_hash
Puppet::Functions.create_function(:'corral::data_hash', Puppet::Functions::InternalFunction) do
  # @param options `node` and `document` instead of the compile's own, `config` instead of
  #   /etc/corral/client.yaml.
  # @param context Hiera's lookup context.
  # @return [Hash] the keys of this node.
  dispatch :data_hash do
    # Not "%{corral_document}" in hiera.yaml: where strict_variables is on, as in Puppet 8, that fails
    # without an ENC.
    scope_param
    param "Struct[Optional['node'] => String, Optional['document'] => String, Optional['config'] => String]", :options
    param 'Puppet::LookupContext', :context
  end

  def data_hash(scope, options, context)
    client = PuppetX::Corral::Client.new(PuppetX::Corral::Config.load(present(options['config'])))
    node = present(options['node']) || certname(scope)
    version = present(options['document']) || present(variable(scope, 'corral_document'))
    served = serve(client, node, version)
    client.warnings.each { |warning| Puppet.warning("corral::data_hash: #{warning}") }
    line = "corral::data_hash: #{served}"
    served.source == :stale ? Puppet.warning(line) : Puppet.notice(line)
    context.explain { line }
    served.document['hiera']
  rescue PuppetX::Corral::Error => e
    raise Puppet::DataBinding::LookupError, "corral::data_hash: #{e.message}"
  end

  def serve(client, node, version)
    return client.fetch(node) if version.nil?

    client.spooled(node, version) || client.fetch(node, version)
  end

  # A fact could be made up; the certificate could not. `puppet lookup` has no trusted facts.
  def certname(scope)
    trusted = variable(scope, 'trusted')
    name = trusted['certname'] if trusted.is_a?(Hash)
    present(name) || scope.compiler.node.name
  end

  def variable(scope, name)
    scope[name] if scope.exist?(name)
  end

  def present(value)
    value.to_s.empty? ? nil : value.to_s
  end
end
