# frozen_string_literal: true

describe 'corral::to_json' do
  it { is_expected.to run.with_params({ 'b' => [1, nil], 'a' => 'x' }).and_return(<<~JSON) }
    {
      "a": "x",
      "b": [
        1,
        null
      ]
    }
  JSON

  it { is_expected.to run.with_params('text').and_return("\"text\"\n") }

  it 'stays sensitive' do
    secret = Puppet::Pops::Types::PSensitiveType::Sensitive.new('a')
    result = subject.execute({ 'x' => [secret] })
    expect(result).to be_a(Puppet::Pops::Types::PSensitiveType::Sensitive)
    expect(JSON.parse(result.unwrap)).to eq('x' => ['a'])
  end
end
