package com.amazonaws.services.lambda.runtime;

/** A handler of typed events. */
public interface RequestHandler<I, O> {
    O handleRequest(I input, Context context);
}
