# frozen_string_literal: true

module Lambdad
  # One kept-alive connection to the Runtime API. A raw socket: net/http would cost
  # as much as the interpreter's start.
  class API
    PREFIX = '/2018-06-01/runtime/'

    def initialize(authority)
      @authority = authority
      @host, _, port = authority.rpartition(':')
      @port = port.to_i
      @socket = nil
    end

    # next waits for an invocation: [headers, body].
    def next
      reused = !@socket.nil?
      begin
        status, headers, body = call('GET', 'invocation/next')
      rescue IOError, SystemCallError
        raise unless reused # only an idle connection may have gone unnoticed

        status, headers, body = call('GET', 'invocation/next')
      end
      raise "GET invocation/next: status #{status}" unless status == 200

      [headers, body.force_encoding(Encoding::UTF_8)]
    end

    # post sends an answer. 413 says that the API has answered with an error of its own.
    def post(path, body, content_type, error_type = nil)
      status, _, text = call('POST', path, body, content_type, error_type)
      raise "POST #{path}: status #{status}: #{text}" unless [202, 413].include?(status)
    end

    def post_error(path, error)
      post(path, Errors.to_json(error), 'application/json', error[:errorType].gsub(/[^ -~]/, '?'))
    end

    # environment asks at a gate who this program is.
    def environment(path)
      status, _, body = call('GET', path)
      raise "GET #{path}: status #{status}" unless status == 200

      JSON.parse(body.force_encoding(Encoding::UTF_8)).fetch('environment')
    end

    private

    def call(method, path, body = '', content_type = nil, error_type = nil)
      @socket ||= connect
      head = +"#{method} #{path.start_with?('/') ? '' : PREFIX}#{path} HTTP/1.1\r\nHost: #{@authority}\r\nContent-Length: #{body.bytesize}\r\n"
      head << "Content-Type: #{content_type}\r\n" if content_type
      head << "Lambda-Runtime-Function-Error-Type: #{error_type}\r\n" if error_type
      @socket.write(head << "\r\n", body)
      read
    rescue IOError, SystemCallError
      @socket&.close
      @socket = nil
      raise
    end

    def connect
      socket = TCPSocket.new(@host, @port)
      socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
      socket
    end

    def read
      status = line.split(' ', 3)[1].to_i
      headers = {}
      until (field = line).empty?
        name, value = field.split(':', 2)
        headers[name.downcase] = value.strip
      end
      length = headers['content-length'].to_i
      body = length.zero? ? +'' : @socket.read(length)
      raise EOFError, 'the Runtime API closed the connection' if body.nil? || body.bytesize < length

      if headers['connection'] == 'close'
        @socket.close
        @socket = nil
      end
      [status, headers, body]
    end

    def line
      text = @socket.gets("\n")
      raise EOFError, 'the Runtime API closed the connection' if text.nil?

      text.force_encoding(Encoding::UTF_8).chomp
    end
  end
end
