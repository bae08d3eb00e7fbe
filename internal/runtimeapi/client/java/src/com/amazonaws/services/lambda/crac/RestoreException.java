package com.amazonaws.services.lambda.crac;

/** Its suppressed exceptions are what resources threw after a restore. */
public class RestoreException extends Exception {
    private static final long serialVersionUID = 1L;

    public RestoreException() {}

    public RestoreException(String message) {
        super(message);
    }
}
