# frozen_string_literal: true

require 'json'

# What this host applied last: {document, node, roles, site, applied_at}; nothing before the first run.
Facter.add(:corral) do
  confine(kernel: 'Linux')

  setcode do
    applied = JSON.parse(File.read('/var/lib/corral/applied.json', encoding: 'UTF-8'))
    applied if applied.is_a?(Hash)
  rescue SystemCallError, JSON::ParserError
    nil
  end
end
