# frozen_string_literal: true

module PuppetX
  module Corral
    # Writes plain data as YAML that every reader takes for the same data.
    #
    # All strings, keys too, are in double quotes and in ASCII: no text can become a date, a number, a
    # boolean, null or a Ruby symbol, whatever the version of Psych and the locale.
    module YamlText
      ESCAPES = { '"' => '\\"', '\\' => '\\\\', "\n" => '\\n', "\t" => '\\t', "\r" => '\\r' }.freeze

      module_function

      # @param value [Hash, Array, String, Integer, Float, true, false, nil]
      # @return [String]
      def dump(value)
        "---#{node(value, '')}\n"
      end

      def node(value, indent)
        case value
        when Hash then value.empty? ? ' {}' : value.map { |k, v| "\n#{indent}#{quote(k)}:#{node(v, "#{indent}  ")}" }.join
        when Array then value.empty? ? ' []' : value.map { |v| "\n#{indent}-#{node(v, "#{indent}  ")}" }.join
        when String then " #{quote(value)}"
        when nil then ' null'
        when true, false, Integer then " #{value}"
        when Float then " #{number(value)}"
        else raise ArgumentError, "cannot write a #{value.class} as YAML"
        end
      end

      # YAML 1.1 wants a point and a signed exponent; Ruby's own text has both.
      def number(float)
        raise ArgumentError, "cannot write #{float} as YAML" unless float.finite?

        float.to_s
      end

      def quote(text)
        "\"#{text.gsub(/[^ !#-\[\]-~]/) { |character| ESCAPES.fetch(character) { code(character.ord) } }}\""
      end

      def code(point)
        if point < 0x100 then format('\\x%02X', point)
        elsif point < 0x10000 then format('\\u%04X', point)
        else format('\\U%08X', point)
        end
      end
    end
  end
end
