# frozen_string_literal: true

require 'io/wait'
require 'json'
require 'shellwords'
require 'tempfile'

module PuppetX
  module Corral
    # What corral-host said it could not do; the message is a sentence for people.
    class HostError < StandardError
      # @return [String] a stable code, for example `refused`
      attr_reader :code

      def initialize(code, message)
        super(message)
        @code = code
      end
    end

    # The program corral-host, which knows this host: one process for all types of one run.
    #
    # It is started when it is first asked, reads a line of JSON for each request and writes one for each
    # answer. When it dies it is started again, once for each request.
    class Host
      COMMAND = %w[corral-host serve].freeze
      PROTOCOL = 1
      # Seconds for one answer. Comparing lists everything on the host; applying may copy a whole image.
      TIMEOUTS = { 'hello' => 60, 'check' => 300, 'list' => 600, 'compare' => 600, 'apply' => 4 * 3600 }.freeze
      # The process ended, or its pipe broke: it is worth asking another one.
      class Died < HostError; end

      class << self
        # The one of this process: a fork of the agent must not use the pipes of its parent.
        def shared
          @shared = new unless @shared&.mine?
          @shared
        end

        # End the process, so that the next run gets one that has seen nothing yet.
        def close
          @shared&.close
          @shared = nil
        end

        # What starts the program: words of $CORRAL_HOST_COMMAND as a shell would split them, or the default.
        def command
          words = Shellwords.split(ENV.fetch('CORRAL_HOST_COMMAND', ''))
          words.empty? ? COMMAND : words
        end

        # Whether there is such a program on this host now.
        def installed?
          program = command.first
          folders = program.include?('/') ? [''] : ENV.fetch('PATH', '').split(File::PATH_SEPARATOR)
          folders.map { |folder| folder.empty? ? program : File.join(folder, program) }
                 .any? { |file| File.file?(file) && File.executable?(file) }
        end
      end

      def initialize
        @owner = Process.pid
        @number = 0
      end

      # Whether this process may use it.
      def mine?
        @owner == Process.pid
      end

      # Versions, and the kinds with their properties.
      def hello
        request('hello')
      end

      # What is wrong with the specs, by kind and name; an empty list when they can be applied.
      def check(things)
        request('check', things: things)
      end

      # What is on the host of this kind, by name.
      def list(kind)
        request('list', kind: kind)
      end

      # What differs from these specs, by name.
      def compare(kind, things)
        request('compare', kind: kind, things: things)
      end

      # Make one thing as its spec says. @raise [HostError] when that is refused or fails
      def apply(kind, name, spec)
        request('apply', kind: kind, name: name, spec: spec)
      end

      # End the process. In a fork of its owner only our ends of its pipes are closed.
      def close
        [@requests, @answers].compact.each(&:close)
        Process.detach(@pid) if @pid && mine?
      rescue IOError
        nil
      ensure
        @pid = @requests = @answers = nil
      end

      private

      def request(operation, arguments = {})
        start unless @pid
        ask(operation, arguments)
      rescue Died
        # Everything that it does can be done again.
        start
        ask(operation, arguments)
      end

      def start
        close
        @errors = Tempfile.create('corral-host-')
        File.unlink(@errors.path)
        @pid, @requests, @answers = spawn_program
        @answer = ''.b
        spoken = ask('hello', {})['protocol']
        return if spoken == PROTOCOL

        close
        raise HostError.new('protocol', "corral-host speaks protocol #{spoken}, and this module speaks #{PROTOCOL}: " \
                                        'install versions of both that belong together')
      end

      # In a process group of its own: what interrupts the agent must not stop a change half-way.
      def spawn_program
        theirs, requests = IO.pipe
        answers, ours = IO.pipe
        pid = Process.spawn(*self.class.command, in: theirs, out: ours, err: @errors, pgroup: true)
        [pid, requests.binmode, answers.binmode]
      rescue SystemCallError => e
        raise HostError.new('not_installed', "cannot start #{self.class.command.shelljoin} (#{e.class}): " \
                                             'install the package corral-host')
      ensure
        [theirs, ours].compact.each(&:close)
      end

      def ask(operation, arguments)
        number = @number += 1
        deadline = now + TIMEOUTS.fetch(operation)
        send_line(JSON.generate({ id: number, op: operation }.merge(arguments)), deadline, operation)
        answer = parse(next_line(deadline, operation))
        raise lost("answered request #{answer['id'].inspect} instead of #{number}") unless answer['id'] == number

        error = answer['error']
        raise HostError.new(error['code'].to_s, error['message'].to_s) if error

        answer['result']
      end

      def send_line(text, deadline, operation)
        rest = "#{text}\n".b
        until rest.empty?
          wait(deadline, operation) { |left| @requests.wait_writable(left) }
          written = @requests.write_nonblock(rest, exception: false)
          rest = rest.byteslice(written..-1) if written.is_a?(Integer)
        end
      rescue Errno::EPIPE
        raise lost(ended)
      end

      def next_line(deadline, operation)
        until (stop = @answer.index("\n"))
          wait(deadline, operation) { |left| @answers.wait_readable(left) }
          part = @answers.read_nonblock(1 << 16, exception: false)
          raise lost(ended) if part.nil?

          @answer << part if part.is_a?(String)
        end
        @answer.slice!(0..stop)
      end

      def parse(line)
        answer = JSON.parse(line.force_encoding(Encoding::UTF_8))
        answer.is_a?(Hash) ? answer : raise(lost('answered something that is no mapping'))
      rescue JSON::ParserError
        raise lost('answered something that is not JSON')
      end

      def wait(deadline, operation)
        left = deadline - now
        return if left.positive? && yield(left)

        Process.kill(:KILL, -@pid)
        close
        raise HostError.new('timeout', "corral-host did not answer #{operation} within #{TIMEOUTS[operation]} s")
      end

      def lost(what)
        close
        Died.new('died', "corral-host #{what}")
      end

      def ended
        pid = @pid
        @pid = nil
        _, status = Process.wait2(pid)
        words = (@errors.rewind && @errors.read).to_s.strip
        said = words.empty? ? '' : ": #{words.byteslice([words.bytesize - 1000, 0].max..-1).scrub}"
        "ended (#{status.signaled? ? "signal #{status.termsig}" : "status #{status.exitstatus}"})#{said}"
      end

      def now
        Process.clock_gettime(Process::CLOCK_MONOTONIC)
      end
    end
  end
end
