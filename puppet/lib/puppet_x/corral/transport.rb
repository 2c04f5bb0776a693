# frozen_string_literal: true

require 'json'
require 'net/http'
require 'openssl'
require_relative 'document'

module PuppetX
  module Corral
    # One GET with one deadline over all of it: name, connection, TLS, headers and body.
    class Transport
      MAX_BYTES = 64 * 1024 * 1024
      # What can happen before there is an answer.
      NO_ANSWER = [SystemCallError, SocketError, IOError, Timeout::Error, OpenSSL::SSL::SSLError].freeze

      # A status, the headers that matter and the whole body.
      Answer = Struct.new(:status, :version, :etag, :type, :body) do
        # What a problem document says, on one line.
        def problem
          return '' unless type.to_s.match?(%r{\Aapplication/(problem\+)?json\z})

          said = JSON.parse(body.dup.force_encoding(Encoding::UTF_8))
          text = [said['detail'], said['title']].find { |part| part.is_a?(String) && !part.empty? }
          text ? ": #{text.gsub(/[[:cntrl:]]+/, ' ')[0, 300]}" : ''
        rescue JSON::ParserError, NoMethodError, TypeError, ArgumentError
          ''
        end
      end

      def initialize(config)
        @config = config
      end

      # @raise [Unreachable] when there was no answer in time
      # @raise [BadDocument] when there was the beginning of one
      def get(certname, etag)
        request = Net::HTTP::Get.new("#{@config.uri.path.chomp('/')}/documents/#{Corral.escape(certname)}")
        request['Accept'] = 'application/json'
        request['Accept-Encoding'] = 'identity'
        request['User-Agent'] = "corral-puppet/#{VERSION}"
        request['If-None-Match'] = etag if etag
        token = @config.token
        request['Authorization'] = "Bearer #{token}" if token
        in_time(connection, request)
      end

      private

      # Net::HTTP's timeouts are for each read; a server that sends a byte at a time passes them all.
      # A thread that is left behind also covers a name server that does not answer.
      def in_time(http, request)
        thread = Thread.new do
          Thread.current.report_on_exception = false
          exchange(http, request)
        end
        return thread.value if thread.join(@config.timeout)

        thread.kill
        raise Unreachable, "#{@config.uri} did not answer in full within #{@config.timeout} s"
      end

      def exchange(http, request)
        answer = nil
        http.start do
          http.request(request) do |response|
            answer = Answer.new(response.code.to_i, response['Corral-Document'], response['ETag'])
            answer.type = response.content_type
            answer.body = body_of(response)
          end
        end
        answer
      rescue *NO_ANSWER => e
        # A good answer that breaks off is a truncated document, and no reason to use an old one.
        raise BadDocument, "the document broke off: #{reason(e)}" if answer && answer.status < 500 && !timeout?(e)

        raise Unreachable, "cannot reach #{@config.uri}: #{reason(e)}"
      rescue Net::HTTPBadResponse, Net::HTTPHeaderSyntaxError, Net::ProtocolError => e
        raise BadDocument, "#{@config.uri} does not speak HTTP: #{reason(e)}"
      end

      def body_of(response)
        body = ''.b
        response.read_body do |part|
          body << part
          raise BadDocument, "the answer is larger than #{MAX_BYTES} bytes" if body.bytesize > MAX_BYTES
        end
        check(response, body) if response.code == '200'
        body
      end

      # Net::HTTP takes a body that is shorter than announced without a word.
      def check(response, body)
        type = response.content_type
        raise BadDocument, "the answer is #{type.inspect}, not application/json" unless type == 'application/json'

        length = response.content_length
        raise BadDocument, 'the answer does not say how long it is' if length.nil? && !response.chunked?
        return if length.nil? || length == body.bytesize

        raise BadDocument, "the document broke off: #{body.bytesize} of #{length} bytes came"
      end

      def timeout?(error)
        error.is_a?(Timeout::Error) || error.is_a?(Errno::ETIMEDOUT)
      end

      def reason(error)
        text = error.message.to_s.gsub(/[[:cntrl:]]+/, ' ')
        text.empty? ? error.class.name : text[0, 300]
      end

      # No proxy: a variable of the environment must not decide where a node's secrets come from.
      def connection
        http = Net::HTTP.new(@config.uri.hostname, @config.uri.port, nil)
        http.max_retries = 0
        http.open_timeout = http.read_timeout = http.ssl_timeout = @config.timeout
        http.write_timeout = @config.timeout if http.respond_to?(:write_timeout=)
        secure(http) if @config.uri.scheme == 'https'
        http
      end

      def secure(http)
        http.use_ssl = true
        http.verify_mode = OpenSSL::SSL::VERIFY_PEER
        http.min_version = OpenSSL::SSL::TLS1_2_VERSION
        if @config.ca_file
          @config.read('ca_file')
          http.ca_file = @config.ca_file
        end
        return unless @config.cert_file

        http.cert = pem('cert_file') { |text| OpenSSL::X509::Certificate.new(text) }
        http.key = pem('key_file') { |text| OpenSSL::PKey.read(text) }
      end

      def pem(setting)
        yield @config.read(setting)
      rescue OpenSSL::OpenSSLError => e
        @config.wrong(setting, "not PEM: #{e.message}")
      end
    end
  end
end
