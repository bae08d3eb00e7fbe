package lambdad.runtime;

/**
 * What is wrong with the function itself and not with an event: its answer has no stack trace,
 * as on AWS. Most faults are told by the first invocation, and by each that follows.
 */
final class Fault extends RuntimeException {
    /** The class name that the answer tells, if any. */
    final String type;
    /** Whether INIT fails, or the process ends behind the invocation. */
    final boolean fatal;

    private Fault(String message, Throwable cause, boolean fatal) {
        super(message, cause, false, false);
        this.type = cause == null ? null : cause.getClass().getName();
        this.fatal = fatal;
    }

    static Fault of(String message) {
        return new Fault(message, null, false);
    }

    static Fault of(String message, Throwable cause) {
        return new Fault(message, cause, false);
    }

    static Fault fatal(String message, Throwable cause) {
        return new Fault(message, cause, true);
    }

    static String messageOf(Throwable t) {
        return t.getLocalizedMessage() == null ? t.getClass().getName() : t.getLocalizedMessage();
    }
}
