# frozen_string_literal: true

# What AWS's client and the SDK load; loaded before there is a function that waits for it.
require 'date'
require 'net/http'
require 'securerandom'
require 'set'
require 'time'

module Lambdad
  # A runtime that starts before its function is known waits here, and takes the
  # function's environment on.
  module Gate
    START = '/2018-06-01/lambdad/start'

    def self.wait(api)
      GC.start
      assume(api.environment(START))
    end

    # assume takes on an environment, as if the program had been started with it.
    def self.assume(environment)
      ENV.replace(environment) # TZ takes effect as it is set
      begin
        Dir.chdir(environment.fetch('LAMBDA_TASK_ROOT', '/var/task'))
      rescue SystemCallError
        # as if it had been started there without its directory
      end
      return unless defined?(Gem)

      Gem.clear_paths # the function's gems were not there yet
      Gem::Specification.reset
    end
  end
end
