# frozen_string_literal: true

require 'puppet'
require_relative '../../puppet_x/corral/reports' unless defined?(PuppetX::Corral::Reports)

Puppet::Reports.register_report(:corral) do
  desc <<~DOC
    Sends each report to Corral, which then knows what was applied and what failed.

    It uses the configuration of the ENC client, /etc/corral/client.yaml or $CORRAL_CLIENT_CONFIG: its
    `url`, its token, and its `timeout` for all of the sending. What cannot be sent waits in the folder
    `reports-spool` of `cache_dir` and goes out, in order, with the next report. It never fails a run.
  DOC

  # Send this report; only the log tells when that failed.
  def process
    log = ->(severity, line) { Puppet.public_send(severity, "corral report: #{line}") }
    PuppetX::Corral::Reports.new(PuppetX::Corral::Config.load, log).deliver(to_data_hash)
  rescue StandardError => e
    Puppet.err("corral report: the report of #{host} is lost: #{e.message}")
  end
end
