# frozen_string_literal: true

require 'open3'
require_relative 'support'

describe 'corral-enc' do
  include Support

  def enc(*args, program: File.join(MODULE, 'files/corral-enc'), env: {})
    out, err, status = Open3.capture3({ 'CORRAL_CLIENT_CONFIG' => nil }.merge(env), program, *args)
    [status.exitstatus, out, err]
  end

  def write_config(settings)
    config(settings).file
  end

  it 'explains itself' do
    status, out, err = enc('--help')
    expect([status, err]).to eq([0, ''])
    expect(out).to include('Usage: corral-enc [options] CERTNAME', 'Examples:', 'Exit status:',
                           '/etc/corral/client.yaml')
    expect(enc('--version')).to eq([0, "corral-enc 0.1.0\n", ''])
  end

  it 'says how it was called wrongly' do
    [[], %w[a b], %w[--nonsense], %w[../etc --config x]].each do |args|
      status, out, err = enc(*args)
      expect([[2, 3].include?(status), out]).to eq([true, ''])
      expect(err).to match(/\Acorral-enc: .+\n\z/)
    end
  end

  it 'prints the classification through a symbolic link, in any locale, and logs a line' do
    link = File.join(@folder, 'enc')
    File.symlink(File.join(MODULE, 'files/corral-enc'), link)
    log = File.join(@folder, 'log')
    changed = document
    changed['enc']['parameters']['name'] = "Zo\u00eb: no"
    file = write_config('url' => server(answer(changed)).url, 'log' => log)
    status, out, err = enc('--config', file, Support::NODE, program: link, env: { 'LC_ALL' => 'C', 'LANG' => 'C' })
    expect([status, err]).to eq([0, ''])
    expect(YAML.safe_load(out)).to eq(changed['enc'])
    expect(out).to be_ascii_only
    expect(File.read(log))
      .to match(/\A\S+Z corral-enc\[\d+\] notice node=hv1.example.net version=\S+ source=fresh age=0\n\z/)
  end

  it 'prints nothing and gives each failure its status' do
    file = write_config('url' => refused)
    status, out, err = enc('--config', file, Support::NODE)
    expect([status, out]).to eq([4, ''])
    expect(err).to match(/\Acorral-enc: cannot reach .*there is no copy of hv1.example.net\n\z/)
  end

  it 'prints the reason on standard output when told to' do
    status, out, err = enc('--config', '/nowhere', '--reason-on-stdout', Support::NODE)
    expect([status, out]).to eq([3, err])
  end

  it 'serves without a log that can be written' do
    file = write_config('url' => server(answer).url, 'log' => '/nowhere/log')
    expect(enc('--config', file, Support::NODE).first).to eq(0)
  end
end

describe PuppetX::Corral::YamlText do
  it 'writes what every reader reads as the same' do
    traps = ['', '~', 'null', 'no', 'Yes', '2024-01-01', '12:30:00', '1_000', '0x1f', '1e3', '.inf', ':a', ':"a"', '!x',
             '&a', '*a', '- a', '? a', 'a: b', 'a #b', "a\nb\n", "\t", '"\\',
             "\u0085\u2028\ufeff", "\u{1F402}", "\u0000\u007f", '%{x}', '<<', '=', '---',
             '...', '{a', '[a', '@a', '`a', ' a ']
    data = { 'list' => traps, 'map' => traps.to_h { |trap| [trap, trap] }, 'deep' => [[], {}, [[1, { 'a' => [nil] }]]],
             'plain' => [1, -1, 0, 10**20, 1.5, 1e30, 1e-9, true, false, nil] }
    text = described_class.dump(data)
    expect(YAML.safe_load(text)).to eq(data)
    expect(text).to be_ascii_only
  end

  it 'writes nothing else' do
    [Time.now, :a, Float::NAN].each { |value| expect { described_class.dump(value) }.to raise_error(ArgumentError) }
  end
end

describe PuppetX::Corral::Log do
  it 'sends a datagram to syslog' do
    path = File.join(@folder, 'log')
    socket = Socket.new(:UNIX, :DGRAM)
    socket.bind(Socket.sockaddr_un(path))
    stub_const("#{described_class}::SOCKET", path)
    expect(described_class.new('syslog', 'corral-enc').write(:warning, 'hello')).to be(true)
    expect(socket.recv(200)).to match(/\A<28>\w{3} [ \d]\d [\d:]{8} corral-enc\[\d+\]: hello\z/)
    socket.close
  end

  it 'does not mind when there is none' do
    stub_const("#{described_class}::SOCKET", File.join(@folder, 'none'))
    expect(described_class.new('syslog', 'x').write(:notice, 'hello')).to be(false)
  end
end
