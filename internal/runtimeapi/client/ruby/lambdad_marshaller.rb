# frozen_string_literal: true

require 'stringio'

module Lambdad
  # An event as it came: fields by name, in any case, and the body.
  class RawRequest
    attr_reader :body

    def initialize(headers, body)
      @headers = headers
      @body = body
    end

    def [](name)
      @headers[name.downcase]
    end
  end
end

module AwsLambda
  # How events and answers are read and written. It bears AWS's names, since functions may replace its methods.
  class Marshaller
    JSON_TYPE = 'application/json'

    class << self
      def marshall_request(raw_request)
        (raw_request['Content-Type'] || JSON_TYPE) == JSON_TYPE ? JSON.parse(raw_request.body) : raw_request.body
      end

      # marshall_response gives the text and, where it is not JSON, its type.
      def marshall_response(method_response)
        case method_response
        when StringIO, IO then [method_response, 'application/unknown']
        else method_response.to_json
        end
      end
    end
  end
end
