require 'logger'

$calls = 0
puts 'loading é'

def echo(event:, context:)
  event
end

def nothing(event:, context:)
end

def fail_(event:, context:)
  raise 'some_error_msg'
end

def context(event:, context:)
  {
    id: context.aws_request_id,
    arn: context.invoked_function_arn,
    name: context.function_name,
    version: context.function_version,
    memory: context.memory_limit_in_mb,
    group: context.log_group_name,
    stream: context.log_stream_name,
    remaining: context.get_remaining_time_in_millis,
    custom: context.client_context && context.client_context['custom'],
    identity: context.identity && context.identity['cognitoIdentityId'],
    tenant: context.tenant_id,
    trace: ENV['_X_AMZN_TRACE_ID']
  }
end

def env(event:, context:)
  ENV[event]
end

def log(event:, context:)
  puts 'plain'
  logger = Logger.new($stdout)
  logger.warn("warned é\nsecond")
  begin
    raise ArgumentError, 'inner'
  rescue ArgumentError => e
    logger.error(e)
  end
end

def leave(event:, context:)
  exit!(event)
end

def large(event:, context:)
  'x' * event
end

def count(event:, context:)
  $calls += 1
end

def missing_name(event:, context:)
  does_not_exist
end

module Outer
  class Inner
    def self.handle(event:, context:)
      'class method'
    end
  end
end

def surroundings(event:, context:)
  { environ: ENV.to_h,
    child: `env`.split("\n").reject { |x| x.start_with?('_=') }.sort,
    cwd: Dir.pwd,
    argv: ARGV,
    path: $LOAD_PATH.reject { |x| x.start_with?('/usr', '/var/lib') },
    zone: [Time.now.zone, Time.now.strftime('%z')],
    descriptors: Dir.children('/proc/self/fd').size,
    encoding: [Encoding.default_external, Encoding.default_internal].map(&:to_s),
    gems: Gem.path }
end

def restored(event:, context:)
  $restored = ($restored || 0) + 1
  { Env: ENV.to_h, Log: [], Hour: Time.now.zone, Calls: $restored }
end
