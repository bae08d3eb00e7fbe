# frozen_string_literal: true

module Lambdad
  # A runtime whose function has finished its INIT and of which copies are made: it
  # waits in restore/next, and each copy becomes an environment of its own there. A
  # copy finds its connection broken. AWS offers no runtime hooks for Ruby.
  module Template
    SEED_BYTES = 48 # what OpenSSL seeds itself with
    # FORWARDED are the signals that a copy's first process passes on.
    FORWARDED = %w[TERM INT HUP QUIT USR1 USR2].freeze

    # wait returns when this process is an environment: as a rule, in a copy.
    def self.wait(api, kind)
      Process.respond_to?(:warmup) ? Process.warmup : GC.start
      ENV.replace(ask(api, kind))
      renew
    end

    # ask asks who this process is, and again in each copy.
    def self.ask(api, kind)
      api.environment('restore/next')
    rescue Errno::ECONNREFUSED
      raise
    rescue IOError, SystemCallError
      leave_to_child if kind == 'fork'
      retry
    end

    # leave_to_child goes on in a child of the interpreter's own making, which alone
    # gives it a timer, pipes and locks that work. This process ends as the child does.
    def self.leave_to_child
      child = Process.fork
      return if child.nil?

      FORWARDED.each do |name|
        Signal.trap(name) do
          Process.kill(name, child)
        rescue Errno::ESRCH
          # it has ended
        end
      end
      _, status = Process.wait2(child)
      end_like(status)
    end

    def self.end_like(status)
      exit!(status.exitstatus) unless status.signaled?
      begin
        Signal.trap(status.termsig, 'SYSTEM_DEFAULT')
      rescue ArgumentError, SystemCallError
        # Ruby or the kernel keeps this one to itself; it has no handler
      end
      Process.kill(status.termsig, Process.pid)
      exit!(128 + status.termsig)
    end

    # renew makes sure that no two copies draw the same.
    def self.renew
      Random.srand
      OpenSSL::Random.random_add(Random.urandom(SEED_BYTES), SEED_BYTES.to_f) if defined?(OpenSSL::Random)
    end
  end
end
