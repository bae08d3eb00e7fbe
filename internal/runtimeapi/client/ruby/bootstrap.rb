# frozen_string_literal: true

# The Ruby runtime client: speaks the Lambda Runtime API 2018-06-01 and calls the
# function's handler.

require 'json'
require 'socket'

# The id of the invocation in hand, under the name that AWS's logger patch uses.
$_global_aws_request_id = nil

require_relative 'lambdad_api'
require_relative 'lambdad_context'
require_relative 'lambdad_errors'
require_relative 'lambdad_logs'
require_relative 'lambdad_marshaller'

# Before Ruby 3.2 these put the line of source, ours too, and suggestions into the message itself.
if RUBY_VERSION < '3.2'
  ErrorHighlight::CoreExt.send(:remove_method, :to_s) if defined?(ErrorHighlight::CoreExt)
  DidYouMean::Correctable.send(:remove_method, :to_s) if defined?(DidYouMean::Correctable)
end

module Lambdad
  # "file.method" or "file.Class.method"; the file may lie in directories, the
  # class in modules (A::B).
  class Handler
    attr_reader :file

    def initialize(name)
      parts = name.split('.')
      case parts.size
      when 2 then @file, @method = parts
      when 3 then @file, @class, @method = parts
      else
        raise ArgumentError, "Invalid handler #{name.inspect}: must be FILE.METHOD or FILE.CLASS.METHOD"
      end
    end

    def call(event, context)
      receiver = @class ? Kernel.const_get(@class) : TOPLEVEL_BINDING.receiver
      receiver.__send__(@method, event: event, context: context)
    end
  end

  # Exit statuses of AWS's client.
  EXIT_INIT_ERROR = -4
  EXIT_CRITICAL = -1

  def self.run
    $stdout.sync = true
    $stderr.sync = true
    api = API.new(ENV.fetch('AWS_LAMBDA_RUNTIME_API'))
    if ENV.key?('_LAMBDAD_WAIT')
      require_relative 'lambdad_gate'
      Gate.wait(api)
    end
    template = ENV.delete('_LAMBDAD_TEMPLATE')
    ENV.delete('LC_CTYPE') if ENV['LC_CTYPE'] == 'C.UTF-8' # it did its work at the start; AWS has none
    task = ENV.fetch('LAMBDA_TASK_ROOT', '/var/task')
    $LOAD_PATH.unshift(task) unless $LOAD_PATH.include?(task)
    begin
      handler = Handler.new(ENV.fetch('_HANDLER', ''))
      require handler.file
    rescue Exception => e # rubocop:disable Lint/RescueException -- SystemExit and SyntaxError count, too
      init_failed(api, e)
    end
    if template
      require_relative 'lambdad_template'
      Template.wait(api)
    end
    loop { serve(api, handler, *api.next) }
  end

  def self.init_failed(api, e)
    error = Errors.describe(e, 'Init')
    Errors.log(error, 'Init error when loading handler')
    api.post_error('init/error', error)
    exit!(EXIT_INIT_ERROR & 0xff)
  end

  def self.serve(api, handler, headers, body)
    id = headers['lambda-runtime-aws-request-id']
    $_global_aws_request_id = id
    ENV['_X_AMZN_TRACE_ID'] = headers['lambda-runtime-trace-id']
    begin
      event = AwsLambda::Marshaller.marshall_request(RawRequest.new(headers, body))
      response = handler.call(event, LambdaContext.new(headers))
      result, content_type = AwsLambda::Marshaller.marshall_response(response)
      result = result.read if result.respond_to?(:read)
    rescue Exception => e # rubocop:disable Lint/RescueException
      # As AWS does: what is no StandardError ends the process, and so do names that
      # do not exist, since the program is broken then.
      critical = !e.is_a?(StandardError) || e.is_a?(NameError)
      error = Errors.describe(e, 'Function')
      Errors.log(error, critical ? 'Critical exception from handler' : 'Error raised from handler method')
      api.post_error("invocation/#{id}/error", error)
      exit!(EXIT_CRITICAL & 0xff) if critical
      return
    end
    api.post("invocation/#{id}/response", result, content_type || 'application/json')
  end
end

Lambdad.run
