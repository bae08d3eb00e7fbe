package com.amazonaws.services.lambda.runtime.logging;

/** How log lines are written. */
public enum LogFormat {
    JSON,
    TEXT;

    public static LogFormat fromString(String name) {
        try {
            return LogFormat.valueOf(name.toUpperCase());
        } catch (Exception e) {
            throw new IllegalArgumentException("Invalid log format: '" + name + "'");
        }
    }
}
