# frozen_string_literal: true

require 'cgi'
require 'digest'
require 'set'
require_relative 'host_run'
require_relative 'plain'

module PuppetX
  module Corral
    # A property that corral-host compares. Its value comes from the comparison, never from a manifest.
    class HostProperty < Puppet::Property
      # As the values of a property that is as wanted; corral-host tells only those that are not.
      SETTLED = 'as in the spec '

      validate do |value|
        next if provider&.wants?(name, value)

        raise ArgumentError, 'is decided by the spec: change the parameter spec, or the document in Corral'
      end

      def retrieve
        provider.current(name)
      end

      def set(_value)
        provider.change(name)
      end

      # For Puppet's own question whether a change is corrective: `should` is from the run before.
      def insync_values?(should, is)
        before = Array(should).first
        return super unless before.to_s.start_with?(SETTLED) && !is.to_s.start_with?(SETTLED)

        # It was as wanted. If the same is wanted now, something else changed it; if not, nobody can tell.
        before != provider.settled
      end

      # Texts of corral-host are for people already.
      def is_to_s(value) # rubocop:disable Naming/PredicateName
        value == :absent ? 'nothing' : "'#{value}'"
      end
      alias should_to_s is_to_s
    end

    # What the native types share. Include it first in the type: it brings `ensure`, `name` and `spec`.
    #
    # * `ensure`: `present` or `absent`. Nothing is removed that Corral did not make.
    # * `name`: the name of the thing on the host.
    # * `spec`: a Hash, the thing's entry in the node's document. It, or any part of it, may be Sensitive
    #   or Deferred; it is never shown.
    #
    # The properties are read-only: they say what of the thing is not as its spec says.
    module HostType
      def self.included(type)
        type.ensurable
        type.newparam(:name, namevar: true) { desc 'The name of the thing on the host.' }
        type.newparam(:spec) do
          desc "The thing's entry in the node's document: a Hash, which may be or contain Sensitive."
          defaultto({})
          validate do |value|
            value = value.unwrap if value.respond_to?(:unwrap)
            next if value.is_a?(Hash) || Corral.deferred?(value)

            raise ArgumentError, "must be a Hash, not #{value.class}"
          end
          # Whatever prints a parameter's value prints this.
          munge { |value| Puppet::Pops::Types::PSensitiveType::Sensitive.new(value) }
        end
        type.newproperty(:managed) do
          desc 'Whether Corral made it; only for `puppet resource`.'
          validate { |_| raise ArgumentError, 'is for reading only' }
        end
      end

      # The kind of corral-host: `domain` for the type corral_domain.
      def kind
        self.class.name.to_s.sub('corral_', '')
      end

      # The spec as corral-host takes it.
      def wanted
        Corral.to_plain(self[:spec]).merge('ensure' => (self[:ensure] || :present).to_s)
      end

      # Whether the spec is known only when its resource is applied.
      def deferred_spec?
        Corral.deferred?(self[:spec])
      end

      # Whether the document says that the thing is gone.
      def gone?
        self[:ensure] == :absent
      end

      # Puppet would warn that a parameter cannot be hidden; this one always is.
      def set_sensitive_parameters(names) # rubocop:disable Naming/AccessorMethodName
        super(names - [:spec])
      end

      # Checks the whole document once, before anything at all is applied.
      def pre_run_check
        wrong = HostRun.of(catalog).check_early(self)
        raise Puppet::Error, wrong if wrong
      rescue HostError => e
        raise Puppet::Error, e.message
      end

      # What Puppet compares with: what is true before any change. Raises when corral-host cannot compare.
      def retrieve
        provider.before_changes
        super
      end

      # Take what corral-host said of one property; Puppet makes the event of it.
      def decide(name, value)
        newattr(name).value = value
      end

      # Ends the sentence "requires ...": resources of a type that are there.
      def present(type)
        others(type).reject(&:gone?)
      end

      # Ends the sentence "comes before ...": resources of a type that go away.
      def gone(type)
        others(type).select(&:gone?)
      end

      # Those of a type that are there and that this one's XML names, by their name or a field of their spec.
      def mentioned(type, *fields)
        present(type).select do |other|
          named = Corral.to_plain(other[:spec]).values_at(*fields)
          (fields.empty? ? [other[:name]] : named.compact).any? { |text| words.include?(text) }
        end
      end

      # A field of the spec.
      def field(name)
        Corral.to_plain(self[:spec])[name]
      end

      private

      def others(type)
        HostRun.of(catalog).resources(type).reject { |one| one.equal?(self) }
      end

      # All values and texts in the spec's XML.
      def words
        @words ||= field('xml').to_s.scan(/'([^']*)'|"([^"]*)"|>([^<>]+)</)
                               .flatten.compact.map { |text| CGI.unescapeHTML(text) }.to_set
      end
    end
  end
end
