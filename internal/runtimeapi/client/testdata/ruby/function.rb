require 'logger'
require 'stringio'

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

def size(event:, context:)
  event.size
end

def every(event:, context:)
  client = context.client_context
  {
    id: context.aws_request_id,
    arn: context.invoked_function_arn,
    name: context.function_name,
    version: context.function_version,
    memory: context.memory_limit_in_mb,
    group: context.log_group_name,
    stream: context.log_stream_name,
    tenant: context.tenant_id,
    identity: context.identity['cognitoIdentityId'],
    pool: context.identity['cognitoIdentityPoolId'],
    custom: client['custom'],
    env: client['env'],
    installation: client['client']['installation_id'],
    title: client['client']['app_title'],
    versionName: client['client']['app_version_name'],
    versionCode: client['client']['app_version_code'],
    package: client['client']['app_package_name']
  }
end

def bare(event:, context:)
  raise ArgumentError
end

class Named < StandardError
end

def named(event:, context:)
  raise Named, "gebrochen 💥 \u2028 é"
end

def chained(event:, context:)
  raise KeyError, 'the cause'
rescue KeyError
  raise Named, 'the outer'
end

def overflow(event:, context:)
  overflow(event: event, context: context)
end

def arity(event:)
  event
end

def unserialisable(event:, context:)
  Float::NAN
end

$background = []

def leftover(event:, context:)
  if event == 'start'
    Thread.new do
      sleep 0.05
      $background << 'done'
      puts 'from the background'
    end
    return $background.size
  end
  1000.times do
    break unless $background.empty?

    sleep 0.01
  end
  $background
end

def leftover_fails(event:, context:)
  Thread.new { raise Named, 'nobody looks' } if event == 'start'
  event
end

def managed(event:, context:)
  order = []
  resource = lambda do |&block|
    order << 'enter'
    block.call(event)
  ensure
    order << 'exit'
  end
  Thread.new { resource.call { |r| order << r } }.join
  order
end

def stream(event:, context:)
  StringIO.new('as it is')
end

def leave_politely(event:, context:)
  exit(event)
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
