# frozen_string_literal: true

# A loaded client stays: a second environment's copy of the same file would only warn about constants.
require_relative '../../../puppet_x/corral/client' unless defined?(PuppetX::Corral::Client)

# @summary Hiera 5 backend: the data that Corral has for this node.
#
# Called once for each compile. Given the version that the ENC client put into `corral_document`, it
# takes that very version from the ENC client's cache, without a request. When the cache has no such
# version it asks Corral once; it never serves another version than the one that the ENC named, and
# it fails rather than serving less than the whole document.
#
# @example hiera.yaml
#   hierarchy:
#     - name: Corral
#       data_hash: corral::data_hash
#       options:
#         node: "%{trusted.certname}"
#         document: "%{corral_document}"
Puppet::Functions.create_function(:'corral::data_hash') do
  # @param options `node`: the certname, always from the trusted facts; `document`: the version that
  #   the ENC named, empty without an ENC; `config`: the client's configuration, by default
  #   /etc/corral/client.yaml.
  # @param context Hiera's lookup context.
  # @return [Hash] the keys of this node.
  dispatch :data_hash do
    param 'Struct[{node => String[1], Optional[document] => String, Optional[config] => String[1]}]', :options
    param 'Puppet::LookupContext', :context
    return_type 'Hash[String, Any]'
  end

  def data_hash(options, context)
    client = PuppetX::Corral::Client.new(PuppetX::Corral::Config.load(options['config']))
    served = serve(client, options['node'], options['document'].to_s)
    client.warnings.each { |warning| Puppet.warning("corral::data_hash: #{warning}") }
    line = "corral::data_hash: #{served}"
    served.source == :stale ? Puppet.warning(line) : Puppet.notice(line)
    context.explain { line }
    served.document['hiera']
  rescue PuppetX::Corral::Error => e
    raise Puppet::DataBinding::LookupError, "corral::data_hash: #{e.message}"
  end

  def serve(client, node, version)
    return client.fetch(node) if version.empty?

    client.spooled(node, version) || client.fetch(node, version)
  end
end
