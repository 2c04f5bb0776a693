# frozen_string_literal: true

module PuppetX
  module Corral
    VERSION = '0.1.0'

    # Every failure is one of these; the ENC client exits with its code.
    class Error < StandardError
      EXIT_CODE = 1

      def exit_code
        self.class::EXIT_CODE
      end
    end

    # The program was called wrongly, or for a name that no node can have.
    class UsageError < Error
      EXIT_CODE = 2
    end

    # The configuration file, or a file that it names, is missing or wrong.
    class ConfigError < Error
      EXIT_CODE = 3
    end

    # Refused, timed out, TLS failed or 5xx. The only failure that a cached copy may stand in for.
    class Unreachable < Error
      EXIT_CODE = 4
    end

    # 401 and 403, and the other answers that say that the request is wrong.
    class Denied < Error
      EXIT_CODE = 5
    end

    # 404 and 410: this node gets no document.
    class NoSuchNode < Error
      EXIT_CODE = 6
    end

    # The answer is not this node's document, not whole, or not the version that was asked for.
    class BadDocument < Error
      EXIT_CODE = 7
    end
  end
end
