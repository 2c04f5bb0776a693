# frozen_string_literal: true

require 'json'

base = { 'document' => '41-9f', 'node' => 'hv1.example.net', 'roles' => ['hypervisor'], 'site' => 'fra1' }

# The class corral with its parameters, as Hiera would give them.
def corral(parameters)
  "class { 'corral': #{parameters.map { |name, value| "#{name} => #{value.inspect}" }.join(', ')} }"
end

describe 'corral' do
  let(:node) { 'hv1.example.net' }
  let(:params) { base }

  it { is_expected.to compile.with_all_deps }
  it { is_expected.to contain_file('/etc/corral').with(ensure: 'directory', mode: '0755') }

  it 'records the document' do
    file = catalogue.resource('file', '/etc/corral/document.json')
    expect(file[:mode]).to eq('0600')
    expect(JSON.parse(file[:content])).to eq(base)
  end

  context 'without data' do
    let(:params) { {} }

    it { is_expected.to compile.and_raise_error(/expects a value for parameter 'document'/) }
  end

  context 'with the data of another node' do
    let(:params) { base.merge('node' => 'hv2.example.net') }

    it { is_expected.to compile.and_raise_error(/the data is for the node hv2.example.net/) }
  end

  context 'with the classification of another version' do
    let(:pre_condition) { '$corral_document = "42-00"' }

    it { is_expected.to compile.and_raise_error(/was classified with document 42-00/) }
  end

  context 'with the classification of this version' do
    let(:pre_condition) { '$corral_document = "41-9f"' }

    it { is_expected.to compile }
  end

  context 'with a directory that is none' do
    let(:params) { base.merge('config_dir' => 'etc') }

    it { is_expected.to compile.and_raise_error(/config_dir/) }
  end
end

describe 'corral::hypervisor' do
  let(:node) { 'hv1.example.net' }
  let(:pre_condition) { corral(base) }
  let(:params) do
    { 'domains' => { 'vm-17' => { 'ensure' => 'present', 'state' => 'running', 'xml' => '<domain/>' },
                     'vm-18' => { 'ensure' => 'absent' } } }
  end

  it { is_expected.to compile.with_all_deps }
  it { is_expected.to contain_file('/etc/corral/domains').with(ensure: 'directory', mode: '0700').without_purge }

  it {
    is_expected.to contain_file('/etc/corral/domains/vm-17.xml').with(ensure: 'file', mode: '0600',
                                                                      content: '<domain/>')
  }

  it { is_expected.to contain_file('/etc/corral/domains/vm-18.xml').with_ensure('absent') }
  it { is_expected.to have_file_resource_count(5) }

  context 'with a domain that libvirt cannot run' do
    let(:params) { { 'domains' => { 'vm-1' => { 'ensure' => 'present', 'unsupported' => { 'code' => 'x' } } } } }

    it { is_expected.to compile }
    it { is_expected.not_to contain_file('/etc/corral/domains/vm-1.xml') }
  end

  context 'without domains' do
    let(:params) { {} }

    it { is_expected.to have_file_resource_count(3) }
  end

  { 'a name that leaves the directory' => { '../x' => { 'ensure' => 'absent' } },
    'a domain without XML' => { 'vm-1' => { 'ensure' => 'present' } },
    'a domain without ensure' => { 'vm-1' => { 'xml' => '<domain/>' } },
    'a domain with another ensure' => { 'vm-1' => { 'ensure' => 'latest',
                                                    'xml' => '<domain/>' } } }.each do |what, domains|
    context "with #{what}" do
      let(:params) { { 'domains' => domains } }

      it { is_expected.to compile.and_raise_error(/domain|Corral::Name/) }
    end
  end
end

{ 'mon' => %w[cluster peers pools], 'osd' => %w[cluster peers osds], 'client' => ['clusters'] }.each do |part, others|
  describe "corral::ceph::#{part}" do
    let(:node) { 'hv1.example.net' }
    let(:pre_condition) { corral(base) }
    let(:rest) { others.to_h { |other| [other, { 'x' => 1 }] } }
    let(:keys) { { 'client.a' => { 'secret' => 'S3CRET' } } }
    let(:file) { catalogue.resource('file', "/etc/corral/ceph-#{part}.json") }
    let(:params) do
      rest.merge('keys' => sensitive(keys))
    end

    it { is_expected.to compile.with_all_deps }

    it 'writes its part for root only, and keeps it out of the log' do
      expect(file[:mode]).to eq('0600')
      expect(file.sensitive_parameters).to eq([:content])
      expect(JSON.parse(file[:content]))
        .to eq(rest.merge(part == 'mon' ? { 'port' => nil } : {}, 'keys' => keys))
    end

    context 'with keys that are not marked as sensitive' do
      let(:params) { { 'keys' => keys } }

      it { is_expected.to compile }
    end

    context 'without data' do
      let(:params) { {} }

      it { is_expected.to compile }
      it { is_expected.not_to contain_file("/etc/corral/ceph-#{part}.json") }
    end
  end
end
