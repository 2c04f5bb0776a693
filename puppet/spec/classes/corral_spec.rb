# frozen_string_literal: true

base = { 'document' => '41-9f', 'node' => 'hv1.example.net', 'roles' => ['hypervisor'], 'site' => 'fra1' }
debian = { 'os' => { 'family' => 'Debian', 'name' => 'Debian' } }
families = { 'Debian' => %w[libvirt-daemon-system xorriso], 'RedHat' => %w[qemu-kvm libvirt-daemon-driver-qemu] }

# The class corral with its parameters, as Hiera would give them.
def corral(parameters)
  "class { 'corral': #{parameters.map { |name, value| "#{name} => #{value.inspect}" }.join(', ')} }"
end

# The spec of a resource as it goes to corral-host.
def spec_of(type, name)
  plain(catalogue.resource(type, name)[:spec])
end

def plain(value)
  case value
  when Puppet::Pops::Types::PSensitiveType::Sensitive then plain(value.unwrap)
  when Hash then value.transform_values { |one| plain(one) }
  else value
  end
end

describe 'corral' do
  let(:node) { 'hv1.example.net' }
  let(:facts) { debian }
  let(:params) { base }

  it { is_expected.to compile.with_all_deps }
  it { is_expected.to contain_package('corral-host').with_ensure('installed').without_source }
  it { is_expected.not_to contain_service('corral-hostd') }
  it { is_expected.to have_file_resource_count(0) }

  it 'records the document, after the host package' do
    expect(spec_of('corral_document', '41-9f'))
      .to eq('node' => 'hv1.example.net', 'version' => '41-9f', 'roles' => ['hypervisor'], 'site' => 'fra1')
    is_expected.to contain_corral_document('41-9f').with_ensure('present').that_requires('Class[corral::host]')
  end

  context 'with the daemon' do
    let(:params) do
      base.merge('hostd_url' => 'https://corral.example.net', 'hostd_token' => sensitive('s3cret'),
                 'package_source' => '/srv/corral-host_1.deb')
    end

    it { is_expected.to contain_package('corral-host').with(source: '/srv/corral-host_1.deb', provider: 'dpkg') }
    it { is_expected.to contain_service('corral-hostd').that_subscribes_to('File[/etc/corral/node.token]') }
    it { is_expected.to contain_service('corral-converge.path').with(ensure: 'running', enable: true) }

    it 'writes its settings, and the token for it alone' do
      is_expected.to contain_file('/etc/corral/hostd.conf').with_content(<<~CONF)
        # Written by Puppet.
        [hostd]
        url = https://corral.example.net
        node = hv1.example.net
        token_file = /etc/corral/node.token
        tool = puppet
        interval = 10
      CONF
      token = catalogue.resource('file', '/etc/corral/node.token')
      expect([token[:mode], token[:group]]).to eq(%w[0640 corral-host])
      expect(token.sensitive_parameters).to eq([:content])
    end
  end

  context 'without packages and services' do
    let(:params) do
      base.merge('manage_packages' => false, 'manage_services' => false, 'hostd_url' => 'https://corral.example.net')
    end
    let(:facts) { { 'os' => { 'family' => 'Other' } } }

    it { is_expected.to compile.with_all_deps }
    it { is_expected.to have_package_resource_count(0) }
    it { is_expected.to have_service_resource_count(0) }
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
end

describe 'corral::hypervisor' do
  let(:node) { 'hv1.example.net' }
  let(:facts) { debian }
  let(:pre_condition) { corral(base) }
  let(:params) do
    { 'domains' => { 'vm-17' => { 'ensure' => 'present', 'state' => 'running', 'xml' => '<domain/>' },
                     'vm-18' => { 'ensure' => 'absent', 'uuid' => 'u' } },
      'volumes' => { 'vol-17' => { 'ensure' => 'present', 'pool' => 'local' } },
      'pools' => { 'local' => { 'ensure' => 'present', 'kind' => 'lvm' } },
      'bridges' => { 'br-17-0' => { 'ensure' => 'absent' } },
      'secrets' => sensitive({ 'u-u' => { 'ensure' => 'present', 'value' => 'S3CRET' } }) }
  end

  it { is_expected.to compile.with_all_deps }
  it { is_expected.to contain_corral_domain('vm-18').with_ensure('absent') }
  it { is_expected.to contain_corral_bridge('br-17-0').with_ensure('absent') }
  it { is_expected.to contain_corral_pool('local').that_requires('Package[lvm2]') }
  it { is_expected.not_to contain_package('nfs-common') }
  it { is_expected.to contain_service('libvirtd').that_requires('Package[libvirt-daemon-system]') }
  it { is_expected.to contain_corral_document('41-9f').that_requires('Class[corral::hypervisor]') }

  it 'gives each thing its entry of the document' do
    expect(spec_of('corral_domain', 'vm-17')).to eq(params['domains']['vm-17'])
    expect(catalogue.resource('corral_domain', 'vm-17').sensitive_parameters).to be_empty
  end

  it 'keeps secrets Sensitive' do
    secret = catalogue.resource('corral_secret', 'u-u')
    expect(secret.sensitive_parameters).to eq([:spec])
    expect(spec_of('corral_secret', 'u-u')).to eq('ensure' => 'present', 'value' => 'S3CRET')
  end

  families.each do |family, packages|
    context "on #{family}" do
      let(:facts) { { 'os' => { 'family' => family } } }

      packages.each { |package| it { is_expected.to contain_package(package).that_requires('Class[corral::host]') } }
    end
  end

  context 'on another family' do
    let(:facts) { { 'os' => { 'family' => 'Suse' } } }

    it { is_expected.to compile.and_raise_error(/the packages of Suse are not known/) }
  end

  context 'without things' do
    let(:params) { {} }

    it { is_expected.to compile.with_all_deps }
    it { is_expected.to have_corral_domain_resource_count(0) }
  end

  { 'without ensure' => { 'xml' => '<domain/>' },
    'with another ensure' => { 'ensure' => 'latest' } }.each do |what, entry|
    context "with a domain #{what}" do
      let(:params) { { 'domains' => { 'vm-1' => entry } } }

      it { is_expected.to compile.and_raise_error(/vm-1 has ensure '(latest)?', not present or absent/) }
    end
  end
end

shared_context 'with Ceph' do
  let(:node) { 'hv1.example.net' }
  let(:facts) { debian }
  let(:cluster) { { 'name' => 'ceph', 'fsid' => 'f', 'public_network' => '10.0.0.0/24' } }
  let(:peers) do
    { 'hv1' => { 'ensure' => 'present', 'host' => 'hv1.example.net', 'address' => '10.0.0.1', 'port' => 6789 } }
  end
  let(:mon_keys) do
    %w[mon. client.admin client.libvirt].to_h do |entity|
      [entity, { 'ensure' => 'present', 'secret' => "S-#{entity}" }]
    end
  end
  let(:mon) do
    { 'cluster' => cluster, 'port' => 6789, 'peers' => peers, 'keys' => sensitive(mon_keys),
      'pools' => { 'vms' => { 'ensure' => 'present', 'size' => 3 } } }
  end
  let(:osd) do
    { 'cluster' => cluster, 'peers' => peers, 'osds' => { 'u-1' => { 'ensure' => 'present', 'data_device' => '/x' } },
      'keys' => sensitive({ 'client.bootstrap-osd' => { 'ensure' => 'present', 'secret' => 'S-b' } }) }
  end
  let(:client) do
    { 'clusters' => { 'ceph' => cluster.merge('peers' => peers) },
      'keys' => sensitive({ 'ceph' => { 'client.libvirt' => { 'ensure' => 'present', 'secret' => 'S-l' } } }) }
  end

  # A value in Puppet's language.
  def puppet(value)
    case value
    when RSpec::Puppet::Sensitive then "Sensitive(#{puppet(value.unwrap)})"
    when Hash then "{ #{value.map { |key, one| "#{key.inspect} => #{puppet(one)}" }.join(', ')} }"
    else value.inspect
    end
  end
end

describe 'corral::ceph::mon' do
  include_context 'with Ceph'
  let(:pre_condition) { corral(base) }
  let(:params) { mon }

  it { is_expected.to compile.with_all_deps }
  it { is_expected.to contain_corral_ceph_key('ceph/client.libvirt').with_ensure('present') }
  it { is_expected.to contain_corral_ceph_keyring('ceph/client.admin') }
  it { is_expected.not_to contain_corral_ceph_keyring('ceph/client.libvirt') }
  it { is_expected.to contain_corral_ceph_pool('ceph/vms') }
  it { is_expected.to contain_package('ceph-mon') }

  it 'gives the monitor its keys, hidden' do
    expect(catalogue.resource('corral_ceph_mon', 'hv1').sensitive_parameters).to eq([:spec])
    expect(spec_of('corral_ceph_mon', 'hv1'))
      .to eq('cluster' => cluster, 'peers' => peers, 'keys' => mon_keys.slice('mon.', 'client.admin'))
    expect(spec_of('corral_ceph_config', 'ceph')).to eq('cluster' => cluster, 'peers' => peers)
  end

  context 'on a node that is no monitor' do
    let(:params) { mon.merge('peers' => { 'hv2' => peers['hv1'].merge('host' => 'hv2.example.net') }) }

    it { is_expected.to compile.and_raise_error(/none of the monitors of ceph is on hv1.example.net/) }
  end

  context 'with a monitor to remove' do
    let(:params) { { 'peers' => { 'hv1' => { 'ensure' => 'absent', 'host' => 'hv1.example.net' } } } }

    it { is_expected.to contain_corral_ceph_mon('hv1').with_ensure('absent') }
    it { is_expected.to have_corral_ceph_config_resource_count(0) }
  end
end

describe 'corral::ceph::osd' do
  include_context 'with Ceph'
  let(:pre_condition) { corral(base) }
  let(:params) { osd }

  it { is_expected.to compile.with_all_deps }
  it { is_expected.to contain_corral_ceph_keyring('ceph/client.bootstrap-osd') }
  it { is_expected.to contain_corral_ceph_osd('u-1').that_requires('Package[ceph-osd]') }

  it 'tells the OSD its cluster' do
    expect(spec_of('corral_ceph_osd', 'u-1')).to include('cluster' => cluster, 'data_device' => '/x')
  end

  context 'with OSDs to remove only' do
    let(:params) { { 'osds' => { 'u-1' => { 'ensure' => 'absent', 'data_device' => '/dev/x' } } } }

    it { is_expected.to contain_corral_ceph_osd('u-1').with_ensure('absent') }
  end
end

describe 'corral::ceph::client' do
  include_context 'with Ceph'
  let(:pre_condition) { corral(base) }
  let(:params) { client }

  it { is_expected.to compile.with_all_deps }
  it { is_expected.to contain_corral_ceph_keyring('ceph/client.libvirt') }

  it 'keeps the keys Sensitive' do
    expect(catalogue.resource('corral_ceph_keyring', 'ceph/client.libvirt').sensitive_parameters).to eq([:spec])
    expect(spec_of('corral_ceph_config', 'ceph')).to eq('cluster' => cluster, 'peers' => peers)
  end

  context 'beside the other roles' do
    let(:pre_condition) do
      [corral(base), "class { 'corral::ceph::mon': * => #{puppet(mon)} }",
       "class { 'corral::ceph::osd': * => #{puppet(osd)} }"].join("\n")
    end

    it { is_expected.to compile.with_all_deps }
    it { is_expected.to have_corral_ceph_config_resource_count(1) }
    it { is_expected.to have_corral_ceph_keyring_resource_count(3) }
  end
end
