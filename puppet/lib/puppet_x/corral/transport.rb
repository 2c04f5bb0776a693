# frozen_string_literal: true

require 'json'
require 'net/http'
require 'openssl'
require_relative 'document'

module PuppetX
  module Corral
    # One request with one deadline over all of it: name, connection, TLS, headers and body.
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

      # Ask for a node's document.
      #
      # @raise [Unreachable] when there was no answer in time
      # @raise [BadDocument] when there was the beginning of one
      def get(certname, etag)
        request = Net::HTTP::Get.new(path("documents/#{Corral.escape(certname)}"))
        request['If-None-Match'] = etag if etag
        send_in_time(request, @config.timeout) { |response, body| check(response, body) if response.code == '200' }
      end

      # Send a text of JSON to one of Corral's paths.
      #
      # @param seconds [Numeric] the deadline
      # @raise [Unreachable] when there was no whole answer in time
      def post(target, json, seconds = @config.timeout)
        request = Net::HTTP::Post.new(path(target))
        request['Content-Type'] = 'application/json'
        request.body = json
        send_in_time(request, seconds)
      rescue BadDocument => e
        raise Unreachable, e.message
      end

      private

      def path(rest)
        "#{@config.uri.path.chomp('/')}/#{rest}"
      end

      # Net::HTTP's timeouts are for each read; a server that sends a byte at a time passes them all.
      # A thread that is left behind also covers a name server that does not answer.
      def send_in_time(request, seconds, &checked)
        identify(request)
        http = connection
        thread = Thread.new do
          Thread.current.report_on_exception = false
          exchange(http, request, checked)
        end
        return thread.value if thread.join(seconds)

        thread.kill
        raise Unreachable, "#{@config.uri} did not answer in full within #{seconds.round(1)} s"
      end

      def identify(request)
        request['Accept'] = 'application/json'
        request['Accept-Encoding'] = 'identity'
        request['User-Agent'] = "corral-puppet/#{VERSION}"
        token = @config.token
        request['Authorization'] = "Bearer #{token}" if token
      end

      def exchange(http, request, checked)
        answer = nil
        http.start do
          http.request(request) do |response|
            answer = Answer.new(response.code.to_i, response['Corral-Document'], response['ETag'])
            answer.type = response.content_type
            answer.body = body_of(response)
            checked&.call(response, answer.body)
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
