# frozen_string_literal: true

require_relative 'host_type'

module PuppetX
  module Corral
    # What the providers share: one comparison for all resources of a type, one `apply` for each
    # resource that differs.
    class HostProvider < Puppet::Provider
      # The kind of corral-host.
      def self.kind
        resource_type.name.to_s.sub('corral_', '')
      end

      # For `puppet resource`: everything of the kind that is on the host, also what is not Corral's.
      def self.instances
        Host.shared.list(kind).map { |name, found| new(name: name, found: found) }
      end

      # Compare all resources of the type, once, before the first of them.
      def self.prefetch(resources)
        return if resources.empty?

        HostRun.of(resources.each_value.first.catalog).check_late
        compared = Host.shared.compare(kind, resources.transform_values(&:wanted))
        resources.each { |name, resource| resource.provider.take(compared.fetch(name)) }
      end

      # Puppet calls it when the catalogue is done.
      def self.post_resource_eval
        Host.close
      end

      # The comparison of this resource, before anything was changed.
      def take(comparison)
        @error = comparison['error']
        @compared = by_property(comparison, 'differences')
        @refused = by_property(comparison, 'refused')
        @pending = comparison.fetch('pending', [])
        @present = comparison['present']
        decide unless @error
      end

      def exists?
        @property_hash.key?(:found) || @present || false
      end

      def create
        change(:ensure)
      end

      def destroy
        change(:ensure)
      end

      # Whether the comparison wants this value of a property.
      def wants?(name, value)
        !@compared.nil? && value == (differing.key?(name) ? wanted(name) : settled)
      end

      # The value of a property before the run.
      def current(name)
        found = @property_hash[:found]
        return found['properties'].fetch(name.to_s, :absent) if found
        return :absent unless @present

        differing.key?(name) ? differing[name]['current'] || :absent : settled
      end

      # Only for `puppet resource`.
      def managed
        @property_hash.key?(:found) ? @property_hash[:found]['managed'].to_s : :absent
      end

      # Before the resource is evaluated: say what Puppet's events do not.
      def before_changes
        raise Puppet::Error, @error['message'] if @error
        return if @compared.nil?
        # It is another's: nothing of it is touched.
        raise Puppet::Error, @refused[:ensure]['reason'] if @refused.key?(:ensure)

        tell(@pending) if resource.noop? || as_wanted?
        # Where there is no event that fails with the reason.
        @refused.each_value { |one| resource.warning("#{one['property']}: #{one['reason']}") } if resource.noop?
      end

      # Make one property as wanted; all of the resource's are, with the first.
      def change(name)
        fail_with(@refused[name]['reason'] || 'is refused') if @refused.key?(name)
        apply
        fail_with(@failure) if @failure && @left.include?(name)
      end

      # After the changes: what failed and was not any property's failure, and what waits.
      def flush
        apply
        raise Puppet::Error, @failure if @failure && !@told

        tell(@pending)
      end

      # What stands for the value of a property that is as the spec says: different for each spec.
      def settled
        @settled ||= HostProperty::SETTLED + Digest::SHA256.hexdigest(JSON.generate(resource.wanted))[0, 16]
      end

      private

      def apply
        return if @applied

        @applied = true
        @pending = Host.shared.apply(self.class.kind, resource[:name], resource.wanted).fetch('pending', [])
      rescue HostError => e
        @failure = e.message
        @left = still_different
      end

      # Of a change that failed: what of it is still not as wanted.
      def still_different
        name = resource[:name]
        now = Host.shared.compare(self.class.kind, { name => resource.wanted }).fetch(name)
        return [:ensure, *differing.keys] if now['error']

        @pending = now['pending']
        left = now['differences'].map { |one| one['property'].to_sym }
        now['present'] == now['wanted'] ? left : [:ensure, *left]
      rescue HostError
        [:ensure, *differing.keys]
      end

      def fail_with(reason)
        @told = true
        raise Puppet::Error, reason
      end

      def tell(pending)
        return if pending.empty?

        changes = pending.map do |one|
          reason = one['reason'] ? " (#{one['reason']})" : ''
          "#{one['property']} #{one['current'] || 'nothing'} → #{one['wanted'] || 'nothing'}#{reason}"
        end
        resource.warning("#{resource[:name]} waits for a restart: #{changes.join(', ')}")
      end

      def as_wanted?
        differing.empty? && @present == !resource.gone?
      end

      def differing
        @differing ||= (@compared || {}).merge(@refused || {}).reject { |name, _| name == :ensure }
      end

      def wanted(name)
        differing[name]['wanted'] || :absent
      end

      def by_property(comparison, list)
        comparison.fetch(list, []).to_h { |one| [one['property'].to_sym, one] }
      end

      # Give each property of the type its value, so that Puppet compares it in every run.
      def decide
        known = resource.class.properties.map(&:name) - %i[ensure managed]
        unknown = differing.keys - known
        if unknown.any?
          raise Puppet::Error,
                "corral-host names a property #{unknown.first} that this module does not know"
        end

        known.each { |name| resource.decide(name, differing.key?(name) ? wanted(name) : settled) } unless resource.gone?
      end
    end
  end
end
