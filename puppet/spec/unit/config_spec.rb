# frozen_string_literal: true

require_relative 'support'

describe PuppetX::Corral::Config do
  include Support

  def load(text)
    file = File.join(@folder, 'client.yaml')
    File.write(file, text)
    described_class.load(file)
  end

  it 'has defaults' do
    expect(load("url: https://corral.example.net\n"))
      .to have_attributes(timeout: 5, max_age: 86_400, cache_dir: '/var/cache/corral', log: 'syslog', token: nil)
  end

  it 'takes the file of CORRAL_CLIENT_CONFIG' do
    file = File.join(@folder, 'other.yaml')
    File.write(file, 'url: http://other.example.net')
    before = ENV.to_h
    ENV['CORRAL_CLIENT_CONFIG'] = file
    expect(described_class.load.uri.host).to eq('other.example.net')
    ENV.replace(before)
  end

  it 'takes the example' do
    expect(load(File.read(File.join(MODULE,
                                    'examples/client.yaml')))).to have_attributes(token_file: '/etc/corral/token')
  end

  {
    '' => /must be a mapping/,
    '- a' => /must be a mapping/,
    "url: 'a\n" => /not plain YAML/,
    'url: !ruby/object:Object {}' => /not plain YAML/,
    'timeout: 5' => /: url: is missing/,
    'url: corral.example.net' => /: url: "corral/,
    'url: ftp://corral.example.net' => /: url: /,
    'url: https://me:secret@corral.example.net' => /: url: /,
    'url: https://corral.example.net/?a' => /: url: /,
    "url: http://x\nurll: b" => /: unknown setting urll \(known: url, /,
    "url: http://x\ntimeout: 0" => /: timeout: 0 is not a number of seconds from 0.1 to 300/,
    "url: http://x\ntimeout: '5'" => /: timeout: "5"/,
    "url: http://x\nmax_age: -1" => /: max_age: -1/,
    "url: http://x\ncache_dir: cache" => /: cache_dir: "cache" is not an absolute path/,
    "url: http://x\nlog: stderr" => /: log: "stderr" is not syslog, none or an absolute path/,
    "url: https://x\ncert_file: /a" => /: cert_file: needs key_file/,
    "url: https://x\nkey_file: /a" => /: key_file: needs cert_file/,
    "url: http://x\ncert_file: /a\nkey_file: /b" => /: cert_file: needs a url with https/
  }.each do |text, message|
    it "refuses #{text.inspect} and names the place" do
      expect { load(text) }.to raise_error(PuppetX::Corral::ConfigError, message) { |e|
                                 expect(e.message).to include(@folder)
                               }
    end
  end

  it 'says which file is missing' do
    expect { described_class.load('/nowhere/x.yaml') }
      .to raise_error(PuppetX::Corral::ConfigError,
                      'cannot read the configuration /nowhere/x.yaml: No such file or directory')
    expect { load("url: http://x\ntoken_file: /nowhere").token }
      .to raise_error(PuppetX::Corral::ConfigError, %r{token_file: cannot read /nowhere})
  end

  it 'refuses a token that would break the header, and certificates that are none' do
    file = File.join(@folder, 'token')
    ["a\nb", '', 'ä', 'a b'].each do |text|
      File.write(file, text)
      expect do
        load("url: http://x\ntoken_file: #{file}").token
      end.to raise_error(PuppetX::Corral::ConfigError, /holds no token/)
    end
    bad = load("url: https://127.0.0.1:1\ncert_file: #{file}\nkey_file: #{file}")
    expect do
      PuppetX::Corral::Client.new(bad).fetch('a')
    end.to raise_error(PuppetX::Corral::ConfigError, /cert_file: not PEM/)
  end
end
