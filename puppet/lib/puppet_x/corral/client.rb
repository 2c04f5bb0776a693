# frozen_string_literal: true

require 'digest'
require 'fileutils'
require 'json'
require 'net/http'
require 'openssl'
require 'time'
require 'uri'
require 'yaml'

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
    VERSION = '0.1.0'

    # Every failure is one of these; the ENC client exits with its code.
    class Error < StandardError
      EXIT_CODE = 1

      def exit_code
        self.class::EXIT_CODE
      end
    end

    # The program was called wrongly, or for a name that no node can have.
    class UsageError < Error
      EXIT_CODE = 2
    end

    # The configuration file, or a file that it names, is missing or wrong.
    class ConfigError < Error
      EXIT_CODE = 3
    end

    # Refused, timed out, TLS failed or 5xx. The only failure that a cached copy may stand in for.
    class Unreachable < Error
      EXIT_CODE = 4
    end

    # 401 and 403, and the other answers that say that the request is wrong.
    class Denied < Error
      EXIT_CODE = 5
    end

    # 404 and 410: this node gets no document.
    class NoSuchNode < Error
      EXIT_CODE = 6
    end

    # The answer is not this node's document, not whole, or not the version that was asked for.
    class BadDocument < Error
      EXIT_CODE = 7
    end

    # What /etc/corral/client.yaml says, checked.
    class Config
      DEFAULT_FILE = '/etc/corral/client.yaml'
      DEFAULTS = {
        'url' => nil,
        'token_file' => nil,
        'ca_file' => nil,
        'cert_file' => nil,
        'key_file' => nil,
        'cache_dir' => '/var/cache/corral',
        'timeout' => 5,
        'max_age' => 86_400,
        'log' => 'syslog'
      }.freeze

      attr_reader :file, :uri, :token_file, :ca_file, :cert_file, :key_file, :cache_dir, :timeout, :max_age, :log

      # @param file [String, nil] the file; without it $CORRAL_CLIENT_CONFIG, then the default
      def self.load(file = nil)
        file ||= ENV['CORRAL_CLIENT_CONFIG'] unless ENV['CORRAL_CLIENT_CONFIG'].to_s.empty?
        file ||= DEFAULT_FILE
        new(YAML.safe_load(File.read(file, encoding: 'UTF-8')), file)
      rescue SystemCallError => e
        raise ConfigError, "cannot read the configuration #{file}: #{Corral.plain(e)}"
      rescue Psych::Exception => e
        raise ConfigError, "#{file} is not plain YAML: #{e.message}"
      end

      def initialize(values, file = DEFAULT_FILE)
        @file = file
        raise ConfigError, "#{file} must be a mapping of settings" unless values.is_a?(Hash)

        unknown = values.keys.map(&:to_s) - DEFAULTS.keys
        unless unknown.empty?
          raise ConfigError, "#{file}: unknown setting #{unknown.join(', ')} (known: #{DEFAULTS.keys.join(', ')})"
        end

        @values = DEFAULTS.merge(values.compact)
        check
      end

      # The token as the file has it now, so that it can be changed while puppetserver runs.
      def token
        return nil unless token_file

        token = read('token_file').strip
        return token if token.match?(/\A[!-~]+\z/)

        wrong('token_file', "#{token_file} holds no token (one line of printable characters)")
      end

      # The text of the file that a setting names.
      def read(setting)
        File.binread(@values[setting])
      rescue SystemCallError => e
        wrong(setting, "cannot read #{@values[setting]}: #{Corral.plain(e)}")
      end

      def wrong(setting, what)
        raise ConfigError, "#{file}: #{setting}: #{what}"
      end

      private

      def check
        @uri = url
        @token_file = path('token_file')
        @ca_file = path('ca_file')
        @cert_file = path('cert_file')
        @key_file = path('key_file')
        @cache_dir = path('cache_dir')
        @timeout = number('timeout', 0.1, 300)
        @max_age = number('max_age', 0, 365 * 86_400)
        @log = %w[syslog none].include?(@values['log']) ? @values['log'] : path('log', 'syslog, none or ')
        wrong('cert_file', 'needs key_file too') if cert_file && !key_file
        wrong('key_file', 'needs cert_file too') if key_file && !cert_file
        wrong('cert_file', 'needs a url with https') if cert_file && uri.scheme == 'http'
      end

      def url
        value = @values['url']
        wrong('url', 'is missing, for example https://corral.example.net') if value.nil?
        uri = URI.parse(value.to_s)
        plain = uri.query.nil? && uri.fragment.nil? && uri.userinfo.nil?
        return uri if uri.is_a?(URI::HTTP) && !uri.host.to_s.empty? && plain

        wrong('url', "#{value.inspect} is not an address such as https://corral.example.net")
      rescue URI::InvalidURIError
        wrong('url', "#{value.inspect} is not an address such as https://corral.example.net")
      end

      def path(setting, others = '')
        value = @values[setting]
        return value if value.nil? || (value.is_a?(String) && value.start_with?('/'))

        wrong(setting, "#{value.inspect} is not #{others}an absolute path")
      end

      def number(setting, min, max)
        value = @values[setting]
        return value if value.is_a?(Numeric) && value >= min && value <= max

        wrong(setting, "#{value.inspect} is not a number of seconds from #{min} to #{max}")
      end
    end

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

    # What all parts share.
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

require_relative 'cache'
require_relative 'log'
require_relative 'transport'
require_relative 'yaml_text'

module PuppetX
  module Corral
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
        answer = @transport.get(certname, copy && copy.etag)
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
