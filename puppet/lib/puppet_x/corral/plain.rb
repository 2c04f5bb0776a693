# frozen_string_literal: true

module PuppetX
  # Plain data for the wire.
  module Corral
    module_function

    # A value as JSON has it: Sensitive is unwrapped, what is deferred is resolved, undef is null.
    def to_plain(value)
      case value
      when Puppet::Pops::Types::PSensitiveType::Sensitive then to_plain(value.unwrap)
      when Hash then value.to_h { |key, one| [key.to_s, to_plain(one)] }
      when Array then value.map { |one| to_plain(one) }
      when nil, :undef then nil
      when String, Integer, Float, true, false then value
      else deferred?(value) ? to_plain(value.resolve) : value.to_s
      end
    end

    # Whether a part of the value is known only when its resource is applied (preprocess_deferred is false).
    def deferred?(value)
      case value
      when Puppet::Pops::Types::PSensitiveType::Sensitive then deferred?(value.unwrap)
      when Hash then value.each_value.any? { |one| deferred?(one) }
      when Array then value.any? { |one| deferred?(one) }
      else value.class.to_s.end_with?('::DeferredValue')
      end
    end
  end
end
