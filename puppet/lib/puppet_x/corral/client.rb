# frozen_string_literal: true

require_relative 'cache'
require_relative 'config'
require_relative 'document'
require_relative 'errors'
require_relative 'log'
require_relative 'transport'
require_relative 'yaml_text'

# Code that the Puppet community's modules share with Puppet, by its convention for names.
module PuppetX
  # Gets a node's document from Corral, or says why it cannot.
  #
  # The ENC client (a process) and the Hiera function (inside puppetserver's JRuby) use the same
  # class, the same configuration and the same cache, so that one compile costs one request and both
  # parts of it come from one version. Standard library only; Ruby 2.6 to 3.4.
  #
  # @example
  #   client = PuppetX::Corral::Client.new(PuppetX::Corral::Config.load)
  #   served = client.fetch('hv1.example.net')
  #   served.document['enc']   # a Hash
  #   served.source            # :fresh, :unchanged or :stale
  module Corral
    # A document and where it came from. The source is :fresh (sent now), :unchanged (the server
    # said that our copy is current), :stale (the server could not be asked) or :spooled (what the
    # ENC client got for this very compile). The age is the seconds since the server confirmed it.
    Served = Struct.new(:document, :source, :age, :reason) do
      def version
        document['version']
      end

      # One line for a log.
      def to_s
        line = "node=#{document['node']} version=#{version} source=#{source} age=#{age.round}"
        reason ? "#{line} reason=#{reason.inspect}" : line
      end
    end

    # Decides what may be served: the answer, the copy that it confirms, or the copy in its stead.
    class Client
      # A compile may take a while between the ENC and the last lookup.
      COMPILE_SECONDS = 600

      attr_reader :warnings

      def initialize(config)
        @config = config
        @warnings = []
        @cache = Cache.new(config.cache_dir, config.uri.to_s, @warnings)
        @transport = Transport.new(config)
      end

      # Ask the server, once.
      #
      # @param certname [String]
      # @param version [String, nil] take this version or fail
      # @return [Served]
      def fetch(certname, version = nil)
        certname = Corral.check_certname(certname)
        copy = @cache.read(certname)
        served = begin
          ask(certname, copy)
        rescue Unreachable => e
          stale(certname, copy, e)
        end
        return served if version.nil? || served.version == version

        raise BadDocument, "#{certname} was classified with version #{version}, and Corral now has " \
                           "#{served.version}: run Puppet again"
      end

      # What the cache has of this version, without a request; nil when it has not, or too old.
      def spooled(certname, version)
        copy = @cache.read(Corral.check_certname(certname))
        return nil unless copy && copy.document['version'] == version
        return nil unless usable?(copy, COMPILE_SECONDS)

        Served.new(copy.document, :spooled, copy.age)
      end

      private

      def ask(certname, copy)
        answer = @transport.get(certname, copy&.etag)
        case answer.status
        when 200 then keep(certname, answer)
        when 304 then confirm(certname, answer, copy)
        else refuse(certname, answer)
        end
      end

      def keep(certname, answer)
        version = answer.version
        raise BadDocument, 'the answer has no Corral-Document header' if version.nil?

        document = Corral.check_document(answer.body, certname, version)
        @cache.write(certname, answer.body, answer.etag)
        Served.new(document, :fresh, 0)
      end

      def confirm(certname, answer, copy)
        raise BadDocument, 'the answer is 304, but there is no copy that it could mean' if copy.nil?

        version = copy.document['version']
        unless [nil, version].include?(answer.version)
          raise BadDocument, "the answer is 304 for version #{answer.version}, but the copy is #{version}"
        end

        @cache.write(certname, copy.body, copy.etag)
        Served.new(copy.document, :unchanged, 0)
      end

      def refuse(certname, answer)
        said = "#{answer.status} for #{certname}#{answer.problem}"
        case answer.status
        when 500..599 then raise Unreachable, "Corral answered #{said}"
        when 404, 410 then raise NoSuchNode, "Corral answered #{said}"
        when 400..499 then raise Denied, "Corral answered #{said}"
        else raise BadDocument, "Corral answered #{said}, which no document can have"
        end
      end

      def stale(certname, copy, error)
        raise Unreachable, "#{error.message}; there is no copy of #{certname}" if copy.nil?
        return Served.new(copy.document, :stale, copy.age, error.message) if usable?(copy)

        raise Unreachable, "#{error.message}; the copy of #{certname} is #{copy.age.round} s old, " \
                           "and #{@config.max_age} s is the most"
      end

      # A copy from the future has an unknown age; a clock that was set back a little has not.
      def usable?(copy, grace = 0)
        copy.age >= -300 && copy.age <= @config.max_age + grace
      end
    end
  end
end
