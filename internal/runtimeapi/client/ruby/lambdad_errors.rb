# frozen_string_literal: true

module Lambdad
  # Errors of the function as AWS's Ruby runtime reports them.
  module Errors
    FRAMES_MAX = 100
    # Output is split into log events at newlines; this stands for one inside an event.
    LINE_JOIN = "\x1e\r"

    # describe makes the JSON object of an error; the order of its members is AWS's.
    # The kind says when it happened: Function or Init.
    def self.describe(e, kind)
      { errorMessage: e.message, errorType: "#{kind}<#{e.class}>", stackTrace: frames(e) }
    end

    # frames leaves the runtime's own frames out: they are the outermost.
    def self.frames(e)
      own = File.expand_path(__dir__) + '/'
      found = (e.backtrace || []).first(FRAMES_MAX)
      found.take_while { |frame| !frame.start_with?(own) }
    end

    # to_json makes text of other encodings valid UTF-8 first.
    def self.to_json(error)
      JSON.generate(error.transform_values do |value|
        value.is_a?(Array) ? value.map { |each| utf8(each) } : utf8(value)
      end)
    end

    def self.utf8(text)
      text = text.to_s
      text = text.encode(Encoding::UTF_8, invalid: :replace, undef: :replace) unless text.encoding == Encoding::UTF_8
      text.scrub
    end

    def self.json_format?
      ENV['AWS_LAMBDA_LOG_FORMAT'].to_s.casecmp?('JSON')
    end

    def self.log(error, title)
      if json_format?
        stamp = Time.now.utc.strftime('%Y-%m-%dT%H:%M:%S.%6NZ')
        entry = { timestamp: stamp, level: 'ERROR' }.merge(error)
        entry[:requestId] = $_global_aws_request_id if $_global_aws_request_id
        $stdout.write("#{to_json(entry)}\n")
      else
        $stdout.write("#{title}#{LINE_JOIN}#{to_json(error)}\n")
      end
    end
  end
end
