# frozen_string_literal: true

require 'fileutils'
require 'json'
require 'time'
require_relative 'client' unless defined?(PuppetX::Corral::Client)

module PuppetX
  module Corral
    # Sends the reports of runs to Corral, in order, and keeps those that it cannot take yet on disk.
    #
    # Nothing here fails a run or holds it longer than the configuration's timeout. Corral takes a report
    # only once, so it does no harm when two processes send the same one.
    class Reports
      PATH = 'reports/puppet'
      # What the spool may hold; the oldest goes first.
      MAX_COUNT = 10_000
      MAX_AGE = 7 * 86_400
      # Answers that say nothing about the report itself: it is worth sending again.
      TRY_AGAIN = [401, 403, 408, 429].freeze
      # Of resources that nothing happened to, only Corral's own are sent.
      OURS = /\ACorral_/.freeze
      HAPPENED = %w[changed failed skipped out_of_sync failed_to_restart corrective_change].freeze

      # @param log [#call] takes a severity (:notice, :warning or :err) and a line
      def initialize(config, log, max_count: MAX_COUNT)
        @config = config
        @log = log
        @max_count = max_count
        @transport = Transport.new(config)
        @folder = File.join(config.cache_dir, 'reports-spool')
      end

      # Send one report, after those that wait.
      #
      # @param report [Hash] as Puppet's `to_data_hash` makes it
      def deliver(report)
        deadline = now + @config.timeout
        text = JSON.generate(self.class.reduced(report))
        name = file_name(report)
        waiting = spooled
        return if waiting.empty? && sent?(text, name, deadline)

        keep(name, text)
        flush(deadline) unless waiting.empty?
        drop_old
      rescue SystemCallError => e
        @log.call(:err, "cannot keep the report #{name} in #{@folder}, it is lost: #{Corral.plain(e)}")
      end

      # What Corral has use for: all of the report but the resources that nothing happened to.
      def self.reduced(report)
        statuses = report['resource_statuses'] || {}
        kept = statuses.select do |ref, status|
          ref.match?(OURS) || HAPPENED.any? { |what| status[what] } || !Array(status['events']).empty?
        end
        report.merge('resource_statuses' => kept)
      end

      private

      def flush(deadline)
        spooled.each do |name|
          text = File.read(File.join(@folder, name), encoding: 'UTF-8')
          return nil unless sent?(text, name, deadline)

          FileUtils.rm_f(File.join(@folder, name))
        rescue Errno::ENOENT
          # Another process sent it.
          next
        end
      end

      # Whether Corral needs it no more: it has it, or it never will.
      def sent?(text, name, deadline)
        left = deadline - now
        return false unless left.positive?

        answer = @transport.post(PATH, text, left)
        return true if answer.status.between?(200, 299)
        return waits(name, "Corral answered #{answer.status}#{answer.problem}") if try_again?(answer.status)

        @log.call(:err, "Corral does not take the report #{name}, it is dropped: #{answer.status}#{answer.problem}")
        true
      rescue Error => e
        waits(name, e.message)
      end

      def try_again?(status)
        TRY_AGAIN.include?(status) || !status.between?(400, 499)
      end

      def waits(name, why)
        @log.call(:warning, "the report #{name} waits in #{@folder}: #{why}")
        false
      end

      # Names in the order of their runs.
      def file_name(report)
        time = Time.now.utc.strftime('%Y%m%dT%H%M%S.%9N')
        "#{time}-#{Corral.escape(report['host'].to_s)[0, 100]}-#{Corral.escape(report['transaction_uuid'].to_s)}.json"
      end

      def spooled
        Dir.children(@folder).select { |name| name.end_with?('.json') }.sort
      rescue Errno::ENOENT
        []
      end

      def keep(name, text)
        FileUtils.mkdir_p(@folder, mode: 0o700)
        temporary = File.join(@folder, "#{name}.tmp")
        File.open(temporary, File::WRONLY | File::CREAT | File::TRUNC, 0o600) do |io|
          io.write(text)
          io.fsync
        end
        File.rename(temporary, File.join(@folder, name))
      rescue SystemCallError
        FileUtils.rm_f(temporary) if temporary
        raise
      end

      def drop_old
        names = spooled
        oldest = Time.now.utc - MAX_AGE
        dropped = names.first([names.length - @max_count, 0].max)
        dropped |= names.take_while { |name| name < oldest.strftime('%Y%m%dT%H%M%S') }
        dropped.each { |name| FileUtils.rm_f(File.join(@folder, name)) }
        return if dropped.empty?

        @log.call(:err, "#{dropped.length} reports were dropped from #{@folder}, of #{names.length}: the first is " \
                        "#{dropped.first}")
      end

      def now
        Process.clock_gettime(Process::CLOCK_MONOTONIC)
      end
    end
  end
end
