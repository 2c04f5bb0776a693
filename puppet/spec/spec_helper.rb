# frozen_string_literal: true

require 'fileutils'
require 'tmpdir'
require_relative '../lib/puppet_x/corral/client'

MODULE = File.expand_path('..', __dir__)

begin
  require 'rspec-puppet'

  # Puppet wants a folder of modules with this one by its name.
  MODULES = Dir.mktmpdir('corral-modules-')
  File.symlink(MODULE, File.join(MODULES, 'corral'))
  RSpec.configure do |config|
    config.setup_fixtures = false
    config.module_path = MODULES
    config.trusted_node_data = true
    config.strict_variables = true
    config.after(:suite) { FileUtils.rm_rf(MODULES) }
  end
rescue LoadError
  warn 'rspec-puppet is not here: only the clients are tested'
  RSpec.configure { |config| config.exclude_pattern = 'spec/{classes,host}/**/*' }
end

RSpec.configure do |config|
  config.expect_with(:rspec) { |expect| expect.max_formatted_output_length = 2000 }
  config.around do |example|
    Dir.mktmpdir('corral-spec-') do |folder|
      @folder = folder
      example.run
    end
  end
end
