package com.amazonaws.services.lambda.runtime;

/** Gives the logger to code that has no Context. */
public class LambdaRuntime {
    private static volatile LambdaLogger logger = new lambdad.runtime.Log();

    private LambdaRuntime() {}

    public static LambdaLogger getLogger() {
        return logger;
    }
}
