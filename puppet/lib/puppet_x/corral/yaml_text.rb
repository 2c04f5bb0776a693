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
        when Hash then mapping(value, indent)
        when Array then sequence(value, indent)
        else " #{scalar(value)}"
        end
      end

      def mapping(hash, indent)
        return ' {}' if hash.empty?

        hash.map { |key, value| "\n#{indent}#{quote(key)}:#{node(value, "#{indent}  ")}" }.join
      end

      def sequence(array, indent)
        return ' []' if array.empty?

        array.map { |value| "\n#{indent}-#{node(value, "#{indent}  ")}" }.join
      end

      def scalar(value)
        case value
        when String then quote(value)
        when nil then 'null'
        when true, false, Integer then value.to_s
        when Float then number(value)
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
        return format('\\x%02X', point) if point < 0x100

        point < 0x10000 ? format('\\u%04X', point) : format('\\U%08X', point)
      end
    end
  end
end
