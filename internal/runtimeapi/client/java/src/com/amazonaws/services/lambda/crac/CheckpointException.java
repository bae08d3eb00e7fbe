package com.amazonaws.services.lambda.crac;

/** Its suppressed exceptions are what resources threw before a snapshot. */
public class CheckpointException extends Exception {
    private static final long serialVersionUID = 1L;

    public CheckpointException() {}

    public CheckpointException(String message) {
        super(message);
    }
}
