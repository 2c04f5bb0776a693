# frozen_string_literal: true

require_relative 'host'

module PuppetX
  module Corral
    # What the resources of one catalogue share: the check of all specs, and the resources by type.
    #
    # All specs are checked before anything of the catalogue is applied. On a host that gets the package
    # corral-host in this very run they are checked when the first of them is due: until then the
    # packages are all that was applied.
    class HostRun
      class << self
        # The one of this catalogue. A new catalogue gets a new corral-host, which has listed nothing yet.
        def of(catalog)
          return @current if @current&.for?(catalog)

          Host.close
          @current = new(catalog)
        end
      end

      def initialize(catalog)
        @catalog = catalog
        @owner = Process.pid
        @checked = {}
        @wrong = {}
      end

      # Whether this is the run of that catalogue, in this process.
      def for?(catalog)
        @catalog.equal?(catalog) && @owner == Process.pid
      end

      # The resources of Corral's types; of all of them, or of one.
      def resources(type = nil)
        @resources ||= @catalog.resources.select { |one| one.is_a?(HostType) }.group_by { |one| one.class.name }
        type ? @resources.fetch(type, []) : @resources.values.flatten
      end

      # Before the first resource of the catalogue, whichever it is.
      # @return [String, nil] what is wrong with this resource's spec
      def check_early(resource)
        return nil unless Host.installed?

        check(resources.reject(&:deferred_spec?))
        @wrong[resource.ref]
      end

      # Before the first resource of a type: nothing of ours is applied while any spec is wrong.
      # @raise [Puppet::Error]
      def check_late
        check(resources)
        return if @wrong.empty?

        raise Puppet::Error, "the document cannot be applied: #{@wrong.map do |ref, what|
                                                                  "#{ref}: #{what}"
                                                                end.join('; ')}"
      end

      private

      def check(resources)
        left = resources.reject { |one| @checked[one.ref] }
        return if left.empty?

        things = left.group_by(&:kind).transform_values { |some| some.to_h { |one| [one[:name], one.wanted] } }
        refs = left.to_h { |one| [[one.kind, one[:name]], one.ref] }
        left.each { |one| @checked[one.ref] = true }
        Host.shared.check(things).each do |wrong|
          ref = refs.fetch(wrong.values_at('kind', 'name'))
          # libvirt comes with this very run, or does not run: that is no fault of the spec.
          wrong['code'] == 'no_libvirt' ? @checked.delete(ref) : @wrong[ref] = wrong['message']
        end
      end
    end
  end
end
