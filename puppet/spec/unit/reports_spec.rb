# frozen_string_literal: true

require_relative 'support'
require_relative '../../lib/puppet_x/corral/reports'

describe PuppetX::Corral::Reports do
  include Support

  let(:lines) { [] }
  let(:spool) { File.join(cache, 'reports-spool') }

  def report(number, statuses = {})
    { 'host' => Support::NODE, 'transaction_uuid' => "0000-#{number}", 'status' => 'changed',
      'resource_statuses' => statuses }
  end

  def reports(url, settings = {}, max_count = described_class::MAX_COUNT)
    log = ->(severity, line) { lines << [severity, line] }
    described_class.new(config({ 'url' => url }.merge(settings)), log, max_count: max_count)
  end

  # Which reports a server got, in order.
  def got(canned)
    canned.requests.map { |request| JSON.parse(request.lines.last)['transaction_uuid'] }
  end

  def taken(status = 200)
    answer('', status: status, headers: { 'Corral-Document' => nil })
  end

  it 'sends a report with its token and keeps nothing' do
    token = File.join(@folder, 'token')
    File.write(token, "secret\n")
    canned = server(taken)
    reports(canned.url, 'token_file' => token).deliver(report(1))
    expect(canned.requests.first).to start_with("POST /reports/puppet HTTP/1.1\r\n")
    expect(canned.requests.first).to include('Authorization: Bearer secret', 'Content-Type: application/json')
    expect([got(canned), lines, File.exist?(spool)]).to eq([['0000-1'], [], false])
  end

  it 'leaves out the resources that nothing happened to, and none of ours' do
    quiet = { 'changed' => false, 'failed' => false, 'events' => [] }
    reduced = described_class.reduced(
      report(1, 'File[/a]' => quiet, 'Corral_domain[vm-1]' => quiet, 'File[/b]' => quiet.merge('changed' => true),
                'File[/c]' => quiet.merge('skipped' => true), 'File[/d]' => quiet.merge('events' => [{ 'a' => 1 }]),
                'Corral_document[1-a]' => quiet, 'Class[Corral_x]' => quiet)
    )
    expect(reduced['resource_statuses'].keys)
      .to eq(%w[Corral_domain[vm-1] File[/b] File[/c] File[/d] Corral_document[1-a]])
    expect(reduced['status']).to eq('changed')
  end

  it 'keeps what cannot be sent, for root only, and sends it in order before the next' do
    3.times { |number| reports(refused).deliver(report(number)) }
    files = Dir.children(spool).sort
    expect([files.length, File.stat(spool).mode & 0o777]).to eq([3, 0o700])
    expect(files.map { |file| File.stat(File.join(spool, file)).mode & 0o777 }).to all(eq(0o600))
    expect(lines).to all(match([:warning, /waits in .*: cannot reach/]))

    canned = server(taken)
    reports(canned.url).deliver(report(3))
    expect(got(canned)).to eq(%w[0000-0 0000-1 0000-2 0000-3])
    expect(Dir.children(spool)).to be_empty
  end

  it 'stops at the first that cannot be sent, and goes on there' do
    2.times { |number| reports(refused).deliver(report(number)) }
    count = 0
    failing = server { (count += 1) == 2 ? taken(503) : taken }
    reports(failing.url).deliver(report(2))
    expect(got(failing)).to eq(%w[0000-0 0000-1])
    canned = server(taken)
    reports(canned.url).deliver(report(3))
    expect(got(canned)).to eq(%w[0000-1 0000-2 0000-3])
  end

  [401, 403, 408, 429, 500, 503, 302].each do |status|
    it "keeps a report that is answered with #{status}" do
      reports(server(taken(status)).url).deliver(report(1))
      expect([Dir.children(spool).length, lines]).to match([1, [[:warning, /Corral answered #{status}/]]])
    end
  end

  [400, 404, 413, 422].each do |status|
    it "drops a report that is answered with #{status}, and says so" do
      reports(server(taken(status)).url).deliver(report(1))
      expect([File.exist?(spool), lines]).to match([false, [[:err, /it is dropped: #{status}/]]])
    end
  end

  it 'takes no longer than the timeout, however much waits' do
    20.times { |number| reports(refused, 'timeout' => 0.2).deliver(report(number)) }
    slow = server { sleep(0.3) && taken }
    started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    reports(slow.url, 'timeout' => 1).deliver(report(20))
    expect(Process.clock_gettime(Process::CLOCK_MONOTONIC) - started).to be < 1.5
    expect(Dir.children(spool).length).to be_between(17, 19)
  end

  it 'drops the oldest when there are too many or they are too old' do
    5.times { |number| reports(refused, {}, 3).deliver(report(number)) }
    left = Dir.children(spool).sort.map { |name| name[/0000-\d/] }
    expect(left).to eq(%w[0000-2 0000-3 0000-4])
    File.write(File.join(spool, '20200101T000000.000000000-x-y.json'), '{}')
    reports(refused).deliver(report(5))
    expect(Dir.children(spool).grep(/\A2020/)).to be_empty
    expect(lines.last).to match([:err, /1 reports were dropped/])
  end

  it 'says when the disk does not take a report' do
    File.write(cache, 'not a directory')
    reports(refused).deliver(report(1))
    expect(lines.last).to match([:err, /it is lost/])
  end
end
