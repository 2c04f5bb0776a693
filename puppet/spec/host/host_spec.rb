# frozen_string_literal: true

require_relative 'support'

describe 'the types of things on a host' do
  include HostSupport

  let(:up) { { 'mtu' => '1500', 'state' => 'up' } }

  describe 'a change' do
    it 'is one event for each property that differs' do
      host_in_a_file('a' => { 'mtu' => '1400', 'state' => 'up', 'addresses' => 'x' })
      report = apply(bridge('a', up.merge('routes' => 'r')))
      expect(events(report, 'Corral_bridge[a]'))
        .to eq([['mtu', 'success', "mtu changed '1400' to '1500'"], ['routes', 'success', "defined 'routes' as 'r'"]])
      expect(things['a']).to include('mtu' => '1500', 'routes' => 'r')
      expect(asked.grep(/apply/)).to eq(['apply a'])
    end

    it 'that makes or removes a thing is one event' do
      host_in_a_file('b' => up)
      report = apply(bridge('a', up), bridge('b', {}, ensure: :absent))
      expect(events(report, 'Corral_bridge[a]')).to eq([%w[ensure success created]])
      expect(events(report, 'Corral_bridge[b]')).to eq([%w[ensure success removed]])
      expect(things).to eq('a' => up)
    end

    it 'is none when all is as wanted' do
      host_in_a_file('a' => up)
      report = apply(bridge('a', up), bridge('b', {}, ensure: :absent))
      expect(report.resource_statuses.values.flat_map(&:events)).to be_empty
      expect(logs.select { |level, _| level != :debug && level != :info }).to be_empty
    end

    it 'is only said with noop' do
      host_in_a_file('a' => up.merge('mtu' => '9000'))
      report = apply(bridge('a', up, noop: true), bridge('b', up, noop: true))
      expect(events(report, 'Corral_bridge[a]'))
        .to eq([['mtu', 'noop', "current_value '9000', should be '1500' (noop)"]])
      expect(events(report, 'Corral_bridge[b]'))
        .to eq([['ensure', 'noop', "current_value 'absent', should be 'present' (noop)"]])
      expect(things.keys).to eq(['a'])
      expect(asked.grep(/apply/)).to be_empty
    end
  end

  it 'compares all resources of a type with one request, before the first of them' do
    host_in_a_file
    apply(*(1..5).map { |number| bridge("b#{number}", up) })
    first = asked.index { |line| line.start_with?('apply') }
    expect(asked[0...first].grep(/\Acompare/).length).to eq(6)
  end

  describe 'a failure' do
    it 'is of the property that could not be changed, and not of the others' do
      host_in_a_file({ 'a' => { 'mtu' => '1', 'state' => 'down' } }, 'fail' => ['state'])
      report = apply(bridge('a', up))
      expect(events(report, 'Corral_bridge[a]'))
        .to eq([['mtu', 'success', "mtu changed '1' to '1500'"],
                ['state', 'failure', "change from 'down' to 'up' failed: state did not work"]])
      expect(report.resource_statuses['Corral_bridge[a]'].failed).to be(true)
    end

    it 'is what is refused, with the reason, and the rest is applied' do
      host_in_a_file({ 'a' => { 'mtu' => '1', 'state' => 'down' } }, 'refuse' => ['mtu'])
      report = apply(bridge('a', up))
      expect(events(report, 'Corral_bridge[a]'))
        .to eq([['mtu', 'failure', "change from '1' to '1500' failed: it would hurt"],
                ['state', 'success', "state changed 'down' to 'up'"]])
      expect(things['a']).to eq('mtu' => '1', 'state' => 'up')
    end

    it 'is said with noop too' do
      host_in_a_file({ 'a' => up.merge('mtu' => '1') }, 'refuse' => ['mtu'])
      apply(bridge('a', up, noop: true))
      expect(logs).to include([:warning, 'mtu: it would hurt'])
    end

    it 'of comparing is of one resource only' do
      host_in_a_file
      report = apply(bridge('a', up.merge('broken' => true)), bridge('b', up))
      expect(report.resource_statuses['Corral_bridge[a]'].failed).to be(true)
      expect(logs).to include([:err, 'Could not evaluate: a cannot be read'])
      expect(things.keys).to eq(['b'])
    end
  end

  it 'warns of what waits for a restart in each run, without an event' do
    host_in_a_file({ 'a' => up.merge('mtu' => '1') }, 'wait' => ['mtu'])
    2.times do
      @logs.clear
      report = apply(bridge('a', up))
      expect(events(report, 'Corral_bridge[a]')).to be_empty
      expect(logs).to include([:warning, 'a waits for a restart: mtu 1 → 1500'])
    end
    @logs.clear
    apply(bridge('a', up.merge('state' => 'down')))
    expect(logs.count { |level, _| level == :warning }).to eq(1)
  end

  describe 'a wrong spec' do
    it 'stops the run before anything is applied' do
      host_in_a_file('stays' => up)
      file = File.join(@folder, 'file')
      first = Puppet::Type.type(:file).new(path: file, content: 'x')
      expect { apply(first, bridge('a', up), bridge('b', {}), bridge('stays', {}, ensure: :absent)) }
        .to raise_error(Puppet::Error, /pre-run checks failed/)
      expect(logs).to include([:err, 'bridge b has no mtu'])
      expect([File.exist?(file), things.keys]).to eq([false, ['stays']])
    end

    it 'fails all resources of Corral where corral-host is installed by the run itself' do
      host_in_a_file('stays' => up)
      program = File.join(@folder, 'corral-host')
      real = ENV.fetch('CORRAL_HOST_COMMAND')
      ENV['CORRAL_HOST_COMMAND'] = program
      installs = Puppet::Type.type(:file).new(path: program, mode: '0755', content: "#!/bin/sh\nexec #{real}\n")
      late = [bridge('a', up), bridge('b', {}), bridge('stays', {}, ensure: :absent)]
      report = apply(installs, *late)
      expect(report.resource_statuses.values.select(&:failed).map(&:resource)).to eq(late.map(&:ref))
      expect(logs.map(&:last)).to include(/the document cannot be applied: Corral_bridge\[b\]: bridge b has no mtu/)
      expect(things.keys).to eq(['stays'])
    end

    it 'is found late where libvirt comes with the run' do
      host_in_a_file({}, 'no_libvirt' => true)
      starts = Puppet::Type.type(:file).new(path: @host, content: '{"things": {}}')
      report = apply(starts, bridge('a', {}), bridge('b', up))
      failed = report.resource_statuses.values.select(&:failed).map(&:resource)
      expect(failed).to eq(%w[Corral_bridge[a] Corral_bridge[b]])
      expect(logs.map(&:last)).to include(/the document cannot be applied: Corral_bridge\[a\]: bridge a has no mtu/)
    end

    it 'is none of the resource type, and is said by Puppet' do
      expect { bridge('a', 'text') }.to raise_error(Puppet::ResourceError, /must be a Hash, not String/)
      expect { bridge('a', up, mtu: '3') }.to raise_error(Puppet::ResourceError, /decided by the spec/)
    end
  end

  it 'takes what is Sensitive and what is Deferred, and shows none of it' do
    host_in_a_file
    deferred = Puppet::Pops::Evaluator::DeferredValue.new(proc { 'up' })
    resource = bridge('a', { 'mtu' => sensitive('S3CRET'), 'state' => deferred })
    apply(resource)
    expect(things['a']).to eq('mtu' => 'S3CRET', 'state' => 'up')
    expect("#{logs} #{resource[:spec]} #{resource.to_resource.to_manifest}").not_to include('S3CRET')
  end

  it 'lists what is on the host for puppet resource' do
    host_in_a_file('stranger' => up, 'a' => up)
    listed = Puppet::Type.type(:corral_bridge).instances.to_h { |one| [one.name, one.retrieve.to_hash] }
    expect(listed['a']).to include(ensure: :present, managed: 'true', mtu: '1500')
    expect(listed['stranger']).to include(managed: 'false')
  end

  it 'knows the properties of corral-host and no others' do
    use_host([HostSupport::PYTHON, '-m', 'corral_host.cli', 'serve'])
    kinds = PuppetX::Corral::Host.shared.hello['kinds']
    expect(kinds.length).to eq(12)
    kinds.each do |kind, properties|
      type = Puppet::Type.type(:"corral_#{kind}")
      known = type.properties.map(&:name) - %i[ensure managed]
      expect([kind, known.map(&:to_s).sort]).to eq([kind, properties.keys.sort])
    end
  end

  describe 'the program' do
    it 'is started again once when it dies' do
      %w[compare apply].each do |operation|
        host_in_a_file({ 'a' => {} }, 'die' => operation)
        expect(events(apply(bridge('a', up)), 'Corral_bridge[a]').map(&:first)).to eq(%w[mtu state])
      end
    end

    it 'that always dies is an error with its last words' do
      use_host(['sh', '-c', 'echo cannot go on >&2; exit 3'])
      expect { apply(bridge('a', up)) }.to raise_error(Puppet::Error)
      expect(logs).to include([:err, 'corral-host ended (status 3): cannot go on'])
    end

    it 'that is missing is an error that says what to install' do
      ENV['CORRAL_HOST_COMMAND'] = '/nowhere/corral-host'
      report = apply(bridge('a', up))
      expect(report.resource_statuses['Corral_bridge[a]'].failed).to be(true)
      expect(logs.map(&:last)).to include(/install the package corral-host/)
    end

    it 'that does not answer is killed' do
      stub_const('PuppetX::Corral::Host::TIMEOUTS', 'hello' => 0.5, 'check' => 0.5)
      use_host(%w[sleep 60])
      expect { apply(bridge('a', up)) }.to raise_error(Puppet::Error)
      expect(logs).to include([:err, 'corral-host did not answer hello within 0.5 s'])
    end

    it 'that says something else is an error' do
      use_host(%w[yes no])
      expect { apply(bridge('a', up)) }.to raise_error(Puppet::Error)
      expect(logs).to include([:err, 'corral-host answered something that is not JSON'])
    end

    it 'is not shared with a fork' do
      host_in_a_file('a' => up)
      list = -> { PuppetX::Corral::Host.shared.list('bridge').keys }
      list.call
      reader, writer = IO.pipe
      Process.wait(fork { writer.write(list.call.inspect) && exit!(0) })
      writer.close
      expect([reader.read, list.call]).to eq(['["a"]', ['a']])
    end
  end
end
