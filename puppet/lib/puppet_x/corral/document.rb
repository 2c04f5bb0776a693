# frozen_string_literal: true

require 'json'
require_relative 'errors'

module PuppetX
  # What all parts share: names, and the checks of a document.
  module Corral
    module_function

    # A system error without Ruby's "@ rb_sysopen - /path".
    def plain(error)
      error.message.sub(/ @ \S+ - .*\z/m, '')
    end

    # Names go into an address and a file name.
    def check_certname(name)
      text = name.to_s
      return text if text.match?(/\A[!-.0-~]{1,255}\z/) && !%w[. ..].include?(text)

      raise UsageError, "#{text.inspect} is not a certname"
    end

    def escape(name)
      name.gsub(/[^A-Za-z0-9._-]/) { |character| format('%%%02X', character.ord) }
    end

    # Takes a document's text only if it is the whole, right document of this node.
    #
    # @param text [String] the body as it came
    # @param certname [String]
    # @param version [String, nil] the version that the server's header, or the ENC, named
    # @return [Hash]
    def check_document(text, certname, version = nil)
      document = parse(text)
      must(document['node'] == certname, "is for the node #{document['node'].inspect}")
      must(document['version'].is_a?(String) && !document['version'].empty?, 'has no version')
      must(version.nil? || document['version'] == version,
           "is of version #{document['version']}, not #{version}")
      check_parts(document)
      document
    end

    def check_parts(document)
      manager = document.fetch('manager', 'puppet')
      must(manager == 'puppet', "is for a node that #{manager} manages, not Puppet")
      enc = document['enc']
      hiera = document['hiera']
      must(enc.is_a?(Hash), 'has no mapping "enc"')
      must(enc['classes'].is_a?(Hash), 'has no mapping "enc.classes"')
      must(enc['parameters'].is_a?(Hash), 'has no mapping "enc.parameters"')
      must(hiera.is_a?(Hash), 'has no mapping "hiera"')
      # One version and one node everywhere, or the parts do not belong together.
      { 'enc.parameters.corral_document' => [enc['parameters']['corral_document'], 'version'],
        'enc.parameters.corral_node' => [enc['parameters']['corral_node'], 'node'],
        'hiera corral::document' => [hiera['corral::document'], 'version'],
        'hiera corral::node' => [hiera['corral::node'], 'node'] }.each do |place, (value, field)|
        must(value == document[field], "says #{value.inspect} in #{place} and #{document[field].inspect} in #{field}")
      end
    end

    def parse(text)
      text = text.dup.force_encoding(Encoding::UTF_8)
      must(text.valid_encoding?, 'is not UTF-8')
      document = JSON.parse(text)
      must(document.is_a?(Hash), 'is not a mapping')
      document
    rescue JSON::ParserError
      must(false, 'is not whole JSON')
    end

    def must(true_or_not, complaint)
      raise BadDocument, "the document #{complaint}" unless true_or_not
    end
  end
end
