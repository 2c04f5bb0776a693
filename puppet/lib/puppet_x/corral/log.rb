# frozen_string_literal: true

require 'socket'
require 'time'

module PuppetX
  module Corral
    # Where the ENC client says what it served. Logging never fails a run.
    class Log
      SOCKET = '/dev/log'
      # The facility "daemon" with each severity.
      PRIORITIES = { error: 27, warning: 28, notice: 29 }.freeze

      # @param target [String] syslog, none or the path of a file
      def initialize(target, program)
        @target = target
        @program = program
      end

      # @return [Boolean] whether the line was written
      def write(severity, message)
        case @target
        when 'none' then true
        when 'syslog' then syslog(severity, message)
        else append(severity, message)
        end
      rescue SystemCallError, IOError
        false
      end

      private

      # The library "syslog" left Ruby with 3.4; the datagram is simple.
      def syslog(severity, message)
        socket = Socket.new(:UNIX, :DGRAM)
        socket.connect_nonblock(Socket.sockaddr_un(SOCKET))
        time = Time.now.strftime('%b %e %H:%M:%S')
        socket.sendmsg_nonblock("<#{PRIORITIES.fetch(severity)}>#{time} #{@program}[#{Process.pid}]: #{message}")
        true
      ensure
        socket&.close
      end

      # One write, so that lines of processes that run at once do not mix.
      def append(severity, message)
        File.open(@target, File::WRONLY | File::APPEND | File::CREAT, 0o640) do |io|
          io.syswrite("#{Time.now.utc.iso8601(3)} #{@program}[#{Process.pid}] #{severity} #{message}\n")
        end
        true
      end
    end
  end
end
