# frozen_string_literal: true

require 'puppet'
require 'puppet/test/test_helper'

# Applies resources with the real engine of corral-host.
module HostSupport
  ENGINE = File.expand_path('../../../host/src', __dir__)
  PYTHON = ['/usr/bin/python3', 'python3'].find { |program| system(program, '--version', out: IO::NULL, err: IO::NULL) }

  # An engine whose host is a JSON file.
  def host_in_a_file(things = {}, more = {})
    @host = File.join(@folder, 'host.json')
    File.write(@host, JSON.generate(more.merge('things' => things)))
    use_host([PYTHON, File.expand_path('../support/host_in_a_file.py', __dir__)])
    ENV['HOST_FILE'] = @host
  end

  # The engine as it is, after these words.
  def use_host(command)
    ENV['PYTHONPATH'] = ENGINE
    ENV['PYTHONDONTWRITEBYTECODE'] = '1'
    ENV['CORRAL_HOST_COMMAND'] = command.shelljoin
  end

  def things
    JSON.parse(File.read(@host))['things']
  end

  # What the engine did, in order.
  def asked
    File.exist?("#{@host}.log") ? File.read("#{@host}.log").lines.map(&:chomp) : []
  end

  def sensitive(value)
    Puppet::Pops::Types::PSensitiveType::Sensitive.new(value)
  end

  def bridge(name, spec, attributes = {})
    Puppet::Type.type(:corral_bridge).new({ name: name, ensure: :present, spec: spec }.merge(attributes))
  end

  # Apply resources and return the report. What is logged goes to `logs`.
  def apply(*resources)
    catalog = Puppet::Resource::Catalog.new('test')
    resources.each { |resource| catalog.add_resource(resource) }
    catalog.apply.report
  end

  # [property, status, message] of all events of a resource.
  def events(report, ref)
    report.resource_statuses.fetch(ref).events.map { |event| [event.property, event.status, event.message] }
  end

  def logs
    @logs.map { |log| [log.level, log.message] }
  end

  def self.included(group)
    group.around do |example|
      before = ENV.to_h
      @logs = []
      %i[confdir codedir vardir rundir logdir publicdir].each { |setting| Puppet[setting] = "#{@folder}/puppet" }
      Puppet[:environmentpath] = "#{@folder}/puppet/environments"
      FileUtils.mkdir_p("#{@folder}/puppet/environments/production")
      Puppet::Util::Log.newdestination(Puppet::Test::LogCollector.new(@logs))
      example.run
      PuppetX::Corral::Host.close
      Puppet::Util::Log.close_all
      ENV.replace(before)
    end
  end
end
