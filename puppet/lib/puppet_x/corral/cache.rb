# frozen_string_literal: true

require 'digest'
require 'fileutils'
require 'json'
require 'time'
require_relative 'document'

module PuppetX
  module Corral
    # The last good document of each node, in a file of its own.
    #
    # A file is one line of JSON about the copy and then the body just as it came. It is replaced by
    # a rename, so that a reader sees the old copy or the new one, whole.
    class Cache
      Copy = Struct.new(:document, :body, :etag, :age)

      # @param warnings [Array<String>] what went wrong and did no harm is added here
      def initialize(directory, url, warnings)
        @directory = directory
        @url = url
        @warnings = warnings
      end

      # @return [Copy, nil] nil when there is none, or none that is whole and from this server
      def read(certname)
        head, body = File.binread(file(certname)).split("\n", 2)
        about = JSON.parse(head)
        return nil unless about['url'] == @url
        return ignore(certname, 'it is damaged') unless about['sha256'] == Digest::SHA256.hexdigest(body.to_s)

        document = Corral.check_document(body, certname)
        Copy.new(document, body, about['etag'], Time.now.to_f - Float(about['confirmed']))
      rescue Errno::ENOENT
        nil
      rescue SystemCallError => e
        ignore(certname, Corral.plain(e))
      rescue BadDocument, JSON::ParserError, ArgumentError, TypeError, NoMethodError
        ignore(certname, 'it is damaged')
      end

      # Failing to keep a copy is no reason to fail a run that has its document.
      def write(certname, body, etag)
        about = { 'url' => @url, 'etag' => etag, 'sha256' => Digest::SHA256.hexdigest(body),
                  'confirmed' => Time.now.to_f, 'at' => Time.now.utc.iso8601 }
        FileUtils.mkdir_p(@directory, mode: 0o700)
        replace(file(certname), "#{JSON.generate(about)}\n".b + body.b)
      rescue SystemCallError => e
        @warnings << "cannot keep a copy of #{certname} in #{@directory}: #{Corral.plain(e)}"
      end

      # Where the copy of a node is.
      def file(certname)
        name = Corral.escape(certname).sub(/\A\./, '%2E')
        name = Digest::SHA256.hexdigest(certname) if name.length > 200
        File.join(@directory, "#{name}.json")
      end

      private

      def ignore(certname, why)
        @warnings << "cannot use the copy of #{certname} in #{file(certname)}: #{why}"
        nil
      end

      def replace(file, content)
        # A thread's id too: puppetserver's workers are threads of one process.
        temporary = "#{file}.#{Process.pid}.#{Thread.current.object_id}.tmp"
        File.open(temporary, File::WRONLY | File::CREAT | File::EXCL | File::BINARY, 0o600) do |io|
          io.write(content)
          io.flush
          io.fsync
        end
        give_to_owner(temporary)
        File.rename(temporary, file)
      rescue SystemCallError
        FileUtils.rm_f(temporary)
        raise
      end

      # `puppet lookup` as root must not leave files that puppetserver's user cannot read.
      def give_to_owner(file)
        return unless Process.euid.zero?

        owner = File.stat(@directory)
        File.chown(owner.uid, owner.gid, file)
      end
    end
  end
end
