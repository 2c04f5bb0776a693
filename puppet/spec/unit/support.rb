# frozen_string_literal: true

require 'json'
require 'socket'
require 'yaml'

# A server that sends what it is told, byte for byte, and keeps what it was sent.
class CannedServer
  attr_reader :requests

  def initialize(&answer)
    @answer = answer
    @requests = []
    @server = TCPServer.new('127.0.0.1', 0)
    @thread = Thread.new { loop { serve(@server.accept) } }
    @thread.report_on_exception = false
  end

  def url
    "http://127.0.0.1:#{@server.local_address.ip_port}"
  end

  def close
    @thread.kill
    @server.close
  end

  private

  def serve(socket)
    request = +''
    while (line = socket.gets) && line != "\r\n"
      request << line
    end
    length = request[/^content-length: (\d+)/i, 1].to_i
    request << socket.read(length) if length.positive?
    @requests << request
    @answer.call(socket, request)
  rescue SystemCallError, IOError
    nil
  ensure
    socket.close
  end
end

# What the specs of the client share.
module Support
  NODE = 'hv1.example.net'
  VERSION = '41-9f2c0a1b2c3d4e5f'

  def document(changes = {})
    { 'node' => NODE, 'version' => VERSION, 'manager' => 'puppet',
      'enc' => { 'classes' => { 'corral' => {} },
                 'parameters' => { 'corral_document' => VERSION, 'corral_node' => NODE },
                 'environment' => 'production' },
      'hiera' => { 'corral::document' => VERSION, 'corral::node' => NODE } }.merge(changes)
  end

  # The text of an answer; a header that is nil is left out.
  def answer(body = document, status: 200, headers: {})
    body = JSON.generate(body) unless body.is_a?(String)
    all = { 'Content-Type' => 'application/json', 'Corral-Document' => VERSION, 'ETag' => '"one"',
            'Content-Length' => body.bytesize, 'Connection' => 'close' }.merge(headers).compact
    "HTTP/1.1 #{status} x\r\n#{all.map { |name, value| "#{name}: #{value}\r\n" }.join}\r\n#{body}"
  end

  # Serve one text, or what the block makes of a request.
  def server(text = nil, &block)
    @servers ||= []
    @servers << CannedServer.new { |socket, request| socket.write(text || block.call(request, socket) || '') }
    @servers.last
  end

  def config(settings = {})
    file = File.join(@folder, 'client.yaml')
    File.write(file, YAML.dump({ 'cache_dir' => cache, 'timeout' => 1, 'log' => 'none' }.merge(settings)))
    PuppetX::Corral::Config.load(file)
  end

  def cache
    File.join(@folder, 'cache')
  end

  def client(url, settings = {})
    PuppetX::Corral::Client.new(config({ 'url' => url }.merge(settings)))
  end

  # Put a copy into the cache, confirmed so long ago, by a server at this address.
  def copy(url, age: 0, body: JSON.generate(document), etag: '"one"')
    store = PuppetX::Corral::Cache.new(cache, url, [])
    store.write(NODE, body, etag)
    file = store.file(NODE)
    head, rest = File.binread(file).split("\n", 2)
    File.binwrite(file, "#{JSON.generate(JSON.parse(head).merge('confirmed' => Time.now.to_f - age))}\n#{rest}")
    file
  end

  def refused
    TCPServer.open('127.0.0.1', 0) { |closed| "http://127.0.0.1:#{closed.local_address.ip_port}" }
  end

  def self.included(group)
    group.after { (@servers || []).each(&:close) }
  end
end
