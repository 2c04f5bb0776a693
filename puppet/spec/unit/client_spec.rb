# frozen_string_literal: true

require_relative 'support'

describe PuppetX::Corral::Client do
  include Support

  let(:errors) { PuppetX::Corral }

  describe 'an answer' do
    it 'is served fresh and kept' do
      served = client(server(answer).url).fetch(Support::NODE)
      expect([served.source, served.version, served.age]).to eq([:fresh, Support::VERSION, 0])
      expect(served.document['hiera']['corral::node']).to eq(Support::NODE)
      file = File.join(cache, "#{Support::NODE}.json")
      expect(format('%o', File.stat(file).mode & 0o777)).to eq('600')
      expect(format('%o', File.stat(cache).mode & 0o777)).to eq('700')
      expect(Dir.children(cache)).to eq(["#{Support::NODE}.json"])
    end

    it 'is asked for with the token, the type and the tag of the copy, once and past any proxy' do
      token = File.join(@folder, 'token')
      File.write(token, "secret-token\n")
      canned = server(answer)
      before = ENV.to_h
      ENV['http_proxy'] = 'http://127.0.0.1:1'
      2.times { client("#{canned.url}/base/", 'token_file' => token).fetch(Support::NODE) }
      ENV.replace(before)
      first, second, third = canned.requests
      expect(first).to match(%r{\AGET /base/documents/hv1\.example\.net HTTP/1\.1\r$})
      expect(first).to match(/^Authorization: Bearer secret-token\r$/).and match(%r{^Accept: application/json\r$})
      expect(first).not_to match(/^If-None-Match/i)
      expect(second).to match(/^If-None-Match: "one"\r$/i)
      expect(third).to be_nil
    end

    it 'may be chunked' do
      body = JSON.generate(document)
      chunks = "#{body.bytesize.to_s(16)}\r\n#{body}\r\n0\r\n\r\n"
      head = answer('', headers: { 'Content-Length' => nil, 'Transfer-Encoding' => 'chunked' })
      expect(client(server(head + chunks).url).fetch(Support::NODE).source).to eq(:fresh)
    end

    it 'of 304 serves the copy, and makes it young again' do
      canned = server(answer('', status: 304, headers: { 'Content-Length' => nil }))
      copy(canned.url, age: 100_000)
      served = client(canned.url).fetch(Support::NODE)
      expect([served.source, served.version, served.age]).to eq([:unchanged, Support::VERSION, 0])
      expect(client(canned.url).spooled(Support::NODE, Support::VERSION)).to have_attributes(age: be_between(0, 5))
    end
  end

  describe 'a bad answer' do
    bad = {
      'a list' => [['x'], {}, /is not a mapping/],
      'text that is not JSON' => ['<html>', {}, /is not whole JSON/],
      'text that is not UTF-8' => ["{\"a\": \"\xff\"}", {}, /is not UTF-8/],
      'HTML' => ['<html>', { 'Content-Type' => 'text/html' }, %r{not application/json}],
      'a body that is too short' => ['{}', { 'Content-Length' => 99 }, /broke off: 2 of 99 bytes/],
      'no length' => ['{}', { 'Content-Length' => nil }, /does not say how long/],
      'no version in the header' => [nil, { 'Corral-Document' => nil }, /no Corral-Document/],
      'another version in the header' => [nil, { 'Corral-Document' => '1-a' }, /is of version/],
      'a length that is no number' => [nil, { 'Content-Length' => 'many' }, /does not speak HTTP/]
    }
    parts = {
      'another node' => [{ 'node' => 'hv2.example.net' }, /is for the node "hv2/],
      'no version' => [{ 'version' => nil }, /has no version/],
      "Salt's node" => [{ 'manager' => 'salt' }, /that salt manages, not Puppet/],
      'an enc that is a list' => [{ 'enc' => [] }, /no mapping "enc"/],
      'classes that are a list' => [{ 'enc' => { 'classes' => ['a'], 'parameters' => {} } }, /"enc.classes"/],
      'no parameters' => [{ 'enc' => { 'classes' => {} } }, /"enc.parameters"/],
      'an enc of another version' => [{ 'enc' => { 'classes' => {}, 'parameters' => {
        'corral_document' => '1-a', 'corral_node' => Support::NODE
      } } }, /enc.parameters.corral_document/],
      'hiera that is null' => [{ 'hiera' => nil }, /no mapping "hiera"/],
      'hiera of another node' => [{ 'hiera' => { 'corral::document' => Support::VERSION,
                                                 'corral::node' => 'x' } }, /hiera corral::node/]
    }

    def refuses(text, message)
      canned = server(text)
      file = copy(canned.url)
      before = File.read(file)
      expect { client(canned.url).fetch(Support::NODE) }.to raise_error(errors::BadDocument, message)
      expect(File.read(file)).to eq(before)
    end

    bad.each do |what, (body, headers, message)|
      it("with #{what} is an error, whatever copy there is") {
        refuses(answer(body || document, headers: headers), message)
      }
    end

    parts.each do |what, (changes, message)|
      it("with #{what} is an error, whatever copy there is") { refuses(answer(document(changes)), message) }
    end

    it('that breaks off in its chunks is an error') do
      refuses(answer("ffff\r\n{\"node\"", headers: { 'Content-Length' => nil, 'Transfer-Encoding' => 'chunked' }),
              /broke off/)
    end

    it('that is a redirection is an error') {
      refuses(answer('', status: 302, headers: { 'Location' => '/' }), /answered 302/)
    }

    it('that is not HTTP is an error') { refuses("SSH-2.0-OpenSSH\r\n\r\n", /does not speak HTTP/) }

    it 'of 304 without a copy is an error' do
      canned = server(answer('', status: 304, headers: { 'Content-Length' => nil }))
      expect { client(canned.url).fetch(Support::NODE) }.to raise_error(errors::BadDocument, /no copy/)
    end

    it 'of 304 for another version is an error' do
      refuses(answer('', status: 304, headers: { 'Content-Length' => nil, 'Corral-Document' => '1-a' }),
              /304 for version 1-a/)
    end

    it 'that is too large is an error' do
      stub_const('PuppetX::Corral::Transport::MAX_BYTES', 100)
      refuses(answer, /larger than 100 bytes/)
    end
  end

  describe 'a refusal' do
    { 401 => :Denied, 403 => :Denied, 429 => :Denied, 404 => :NoSuchNode, 410 => :NoSuchNode }.each do |status, error|
      it "of #{status} is final, and its reason is told on one line" do
        problem = { 'title' => 'No', 'detail' => "Not\nyou\u0007." }
        canned = server(answer(problem, status: status, headers: { 'Content-Type' => 'application/problem+json' }))
        copy(canned.url)
        expect { client(canned.url).fetch(Support::NODE) }
          .to raise_error(errors.const_get(error), "Corral answered #{status} for #{Support::NODE}: Not you .")
      end
    end
  end

  describe 'no answer' do
    it 'is stood in for by a copy that is young enough' do
      copy(refused, age: 0)
      url = refused
      copy(url, age: 1000)
      served = client(url, 'max_age' => 1100).fetch(Support::NODE)
      expect(served).to have_attributes(source: :stale, age: be_between(1000, 1010), reason: /cannot reach/)
      expect(served.to_s).to match(/\Anode=hv1.example.net version=\S+ source=stale age=100\d reason="cannot/)
    end

    it 'fails with a copy that is too old, from the future, or forbidden by max_age 0' do
      url = refused
      [[1200, 1100], [-400, 1100], [1, 0]].each do |age, max_age|
        copy(url, age: age)
        expect { client(url, 'max_age' => max_age).fetch(Support::NODE) }.to raise_error(errors::Unreachable, /s old/)
      end
    end

    it 'fails with a copy from another server' do
      copy('http://127.0.0.1:2')
      expect { client(refused).fetch(Support::NODE) }.to raise_error(errors::Unreachable, /there is no copy/)
    end

    it 'is also a connection that closes before the answer' do
      canned = server('')
      copy(canned.url)
      expect(client(canned.url).fetch(Support::NODE).source).to eq(:stale)
      expect(canned.requests.length).to eq(1)
    end

    it 'is also a name that does not exist' do
      expect { client('http://no-such-host.invalid').fetch(Support::NODE) }.to raise_error(errors::Unreachable)
    end

    it 'is also an answer that takes longer than the timeout, byte by byte' do
      canned = server { |_, socket| answer.each_char { |byte| socket.write(byte) && sleep(0.05) } && nil }
      copy(canned.url)
      started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      expect(client(canned.url).fetch(Support::NODE)).to have_attributes(source: :stale, reason: /within 1 s/)
      expect(Process.clock_gettime(Process::CLOCK_MONOTONIC) - started).to be < 1.5
    end
  end

  describe 'a version that the ENC named' do
    it 'is taken from the cache without a request' do
      copy(refused, age: 10)
      url = refused
      copy(url, age: 10)
      served = client(url).spooled(Support::NODE, Support::VERSION)
      expect(served).to have_attributes(source: :spooled, version: Support::VERSION, age: be_between(10, 15))
    end

    it 'is not taken from a copy of another version, or one that is too old' do
      url = refused
      copy(url, age: 10)
      expect(client(url).spooled(Support::NODE, '42-a')).to be_nil
      copy(url, age: 1000 + 601)
      expect(client(url, 'max_age' => 1000).spooled(Support::NODE, Support::VERSION)).to be_nil
    end

    it 'is fetched, or it is an error' do
      canned = server(answer)
      expect(client(canned.url).fetch(Support::NODE, Support::VERSION).source).to eq(:fresh)
      expect { client(canned.url).fetch(Support::NODE, '42-a') }.to raise_error(errors::BadDocument, /run Puppet again/)
    end
  end

  describe 'the cache' do
    it 'that cannot be written is a warning' do
      File.write(cache, 'not a directory')
      asked = client(server(answer).url)
      expect(asked.fetch(Support::NODE).source).to eq(:fresh)
      expect(asked.warnings.last).to match(/cannot keep a copy/)
    end

    it 'that is damaged is not used, with a warning' do
      url = refused
      file = copy(url)
      ['', '{', File.read(file).sub('production', 'elsewhere'), File.read(file)[0..-3]].each do |text|
        File.write(file, text)
        asked = client(url)
        expect { asked.fetch(Support::NODE) }.to raise_error(errors::Unreachable, /there is no copy/)
        expect(asked.warnings).to match([/damaged/])
      end
    end

    it 'has a file of its own for every name, in its own directory' do
      store = PuppetX::Corral::Cache.new(cache, 'http://x', [])
      names = ['a', 'A', '.a', 'a.b', 'a%2Fb', 'a:b', 'a+b', 'x' * 255]
      files = names.map { |name| store.file(name) }
      expect(files.uniq.length).to eq(names.length)
      expect(files).to all(match(%r{\A#{Regexp.escape(cache)}/[A-Za-z0-9_%-][A-Za-z0-9._%-]*\.json\z}))
    end

    it 'is whole at every moment, however many write it' do
      store = PuppetX::Corral::Cache.new(cache, 'http://x', [])
      bodies = ['a', 'b' * 200_000].map { |text| JSON.generate(document('padding' => text)) }
      store.write(Support::NODE, bodies.first, '"x"')
      warnings = []
      writers = bodies.map { |body| Thread.new { 40.times { store.write(Support::NODE, body, '"x"') } } }
      reader = PuppetX::Corral::Cache.new(cache, 'http://x', warnings)
      seen = []
      seen << reader.read(Support::NODE) while writers.any?(&:alive?)
      expect(seen).to all(be_a(PuppetX::Corral::Cache::Copy))
      expect(warnings).to be_empty
    end
  end

  it 'takes no name that is not a certname' do
    ['', '.', '..', '../x', 'a/b', 'a b', "a\n", "a\0", 'ä', 'x' * 256].each do |name|
      expect { client(refused).fetch(name) }.to raise_error(errors::UsageError)
    end
  end

  it 'escapes what an address would take for something else' do
    canned = server(answer(document('node' => 'a?b%c#d')))
    expect { client(canned.url).fetch('a?b%c#d') }.to raise_error(errors::BadDocument)
    expect(canned.requests.first).to start_with('GET /documents/a%3Fb%25c%23d HTTP')
  end
end
