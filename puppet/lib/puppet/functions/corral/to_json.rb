# frozen_string_literal: true

require 'json'

# @summary Writes data as JSON for people: indented, keys in order, the same bytes for the same data.
Puppet::Functions.create_function(:'corral::to_json') do
  # @param data What to write. A Sensitive value anywhere in it makes the result Sensitive.
  # @return [Variant[String, Sensitive[String]]] the text, with a newline at its end.
  # @example
  #   corral::to_json({ 'b' => 1, 'a' => [] })
  dispatch :to_json do
    param 'Any', :data
    return_type 'Variant[String, Sensitive[String]]'
  end

  def to_json(data)
    @sensitive = false
    text = "#{JSON.pretty_generate(plain(data))}\n"
    @sensitive ? Puppet::Pops::Types::PSensitiveType::Sensitive.new(text) : text
  end

  def plain(data)
    case data
    when Puppet::Pops::Types::PSensitiveType::Sensitive
      @sensitive = true
      plain(data.unwrap)
    when Hash then data.map { |key, value| [key.to_s, plain(value)] }.sort_by(&:first).to_h
    when Array then data.map { |value| plain(value) }
    when nil, :undef then nil
    when String, Integer, Float, true, false then data
    else data.to_s
    end
  end
end
