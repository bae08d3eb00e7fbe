# frozen_string_literal: true

require 'logger'

module Lambdad
  # Gives Logger the form that it has on AWS: with the request id, as text or JSON.
  module Logs
    class TextFormatter < Logger::Formatter
      def call(severity, time, progname, msg)
        text = format('%<first>s, [%<time>s #%<pid>d] %<severity>5s %<id>s -- %<progname>s: %<msg>s',
                      first: severity[0], time: format_datetime(time), pid: Process.pid, severity: severity,
                      id: $_global_aws_request_id, progname: progname, msg: msg2str(msg))
        "#{Errors.utf8(text).gsub("\n", Errors::LINE_JOIN)}\n"
      end
    end

    class JSONFormatter < Logger::Formatter
      def call(severity, time, progname, msg)
        entry = { timestamp: time.utc.strftime('%Y-%m-%dT%H:%M:%S.%6NZ'), level: severity }
        if msg.is_a?(Exception)
          entry.update(message: msg.message, errorType: msg.class.to_s, errorMessage: msg.message,
                       stackTrace: Array(msg.backtrace))
        else
          entry[:message] = msg2str(msg)
        end
        entry[:logger] = progname.to_s if progname
        entry[:requestId] = $_global_aws_request_id if $_global_aws_request_id
        "#{Errors.to_json(entry)}\n"
      end
    end

    LEVELS = { 'TRACE' => 'debug', 'DEBUG' => 'debug', 'INFO' => 'info', 'WARN' => 'warn', 'ERROR' => 'error',
               'FATAL' => 'fatal' }.freeze

    # Loggers of the function that write to standard output get the form, unless
    # they bring their own.
    module Patch
      def initialize(logdev = nil, shift_age = 0, shift_size = 1_048_576, **options)
        if logdev.equal?($stdout) || logdev.equal?($stderr) || logdev.equal?(STDOUT) || logdev.equal?(STDERR)
          options[:formatter] ||= Errors.json_format? ? JSONFormatter.new : TextFormatter.new
          level = LEVELS[ENV['AWS_LAMBDA_LOG_LEVEL'].to_s.upcase]
          options[:level] ||= level if level
        end
        super(logdev, shift_age, shift_size, **options)
      end
    end
  end
end

Logger.prepend(Lambdad::Logs::Patch)
