# frozen_string_literal: true

require 'uri'
require 'yaml'
require_relative 'errors'

module PuppetX
  module Corral
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
        file ||= ENV.fetch('CORRAL_CLIENT_CONFIG', '')
        file = DEFAULT_FILE if file.empty?
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
  end
end
