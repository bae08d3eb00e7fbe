# frozen_string_literal: true

module Lambdad
  # A runtime whose function has finished its INIT and of which copies are made: it
  # waits in restore/next, and each copy becomes an environment of its own there. A
  # copy finds its connection broken, and all else as it was: the driver has made the
  # interpreter's timer and pipes anew. AWS offers no runtime hooks for Ruby.
  module Template
    SEED_BYTES = 48 # what OpenSSL seeds itself with

    # wait returns when this process is an environment: as a rule, in a copy.
    def self.wait(api)
      Process.respond_to?(:warmup) ? Process.warmup : GC.start
      ENV.replace(ask(api))
      renew
    end

    # ask asks who this process is, and again in each copy.
    def self.ask(api)
      api.environment('restore/next')
    rescue Errno::ECONNREFUSED
      raise
    rescue IOError, SystemCallError
      retry
    end

    # renew makes sure that no two copies draw the same.
    def self.renew
      Random.srand
      OpenSSL::Random.random_add(Random.urandom(SEED_BYTES), SEED_BYTES.to_f) if defined?(OpenSSL::Random)
    end
  end
end
