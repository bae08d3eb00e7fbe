package lambdad.runtime;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** An error of the function as AWS's Java runtime reports it. */
final class Failure {
    private static final int CAUSES_MAX = 16; // deeper ones are left out

    private final Throwable thrown;
    private final Map<String, Object> described;

    Failure(Throwable t) {
        while ((t instanceof InvocationTargetException || t instanceof Handler.Thrown) && t.getCause() != null) {
            t = t.getCause();
        }
        thrown = t;
        trim(t, 0);
        described = t instanceof Fault ? describe((Fault) t) : describe(t, 0);
    }

    private static Map<String, Object> describe(Fault f) {
        Map<String, Object> o = new LinkedHashMap<String, Object>();
        o.put("errorMessage", f.getMessage());
        if (f.type != null) {
            o.put("errorType", f.type);
        }
        return o;
    }

    private static Map<String, Object> describe(Throwable t, int depth) {
        Map<String, Object> o = new LinkedHashMap<String, Object>();
        o.put("errorMessage", Fault.messageOf(t));
        o.put("errorType", t.getClass().getName());
        o.put("stackTrace", frames(t));
        if (t.getCause() != null && t.getCause() != t && depth < CAUSES_MAX) {
            o.put("cause", describe(t.getCause(), depth + 1));
        }
        return o;
    }

    private static List<String> frames(Throwable t) {
        List<String> frames = new ArrayList<String>();
        for (StackTraceElement frame : t.getStackTrace()) {
            frames.add(frame.toString());
        }
        return frames;
    }

    /** Leaves the frames of the function, also for the log: what the runtime called it with is cut off. */
    private static void trim(Throwable t, int depth) {
        StackTraceElement[] all = t.getStackTrace();
        int n = all.length;
        for (int i = 0; i < all.length; i++) {
            if (all[i].getClassName().startsWith("lambdad.runtime.")) {
                n = i;
                break;
            }
        }
        if (n < all.length) {
            while (n > 0 && isReflection(all[n - 1].getClassName())) {
                n--;
            }
        }
        if (n < all.length) {
            t.setStackTrace(java.util.Arrays.copyOf(all, n));
        }
        if (depth >= CAUSES_MAX) {
            return;
        }
        if (t.getCause() != null && t.getCause() != t) {
            trim(t.getCause(), depth + 1);
        }
        for (Throwable suppressed : t.getSuppressed()) {
            trim(suppressed, depth + 1);
        }
    }

    private static boolean isReflection(String name) {
        return name.startsWith("java.lang.reflect.") || name.startsWith("jdk.internal.reflect.")
                || name.startsWith("sun.reflect.") || name.startsWith("java.lang.invoke.");
    }

    byte[] json() {
        return JsonWriter.write(described).getBytes(StandardCharsets.UTF_8);
    }

    String type() {
        return thrown instanceof Fault ? "Runtime.BadFunctionCode" : thrown.getClass().getName();
    }

    /** Whether the process must end: out of memory, stack overflow, broken classes. */
    boolean fatal() {
        return thrown instanceof VirtualMachineError || thrown instanceof LinkageError
                || thrown instanceof Fault && ((Fault) thrown).fatal;
    }

    void log() {
        StringWriter text = new StringWriter();
        PrintWriter out = new PrintWriter(text);
        out.print(Fault.messageOf(thrown));
        Throwable shown = thrown instanceof Fault ? thrown.getCause() : thrown;
        if (shown != null) {
            out.print(": " + shown.getClass().getName() + "\n");
            shown.printStackTrace(out);
        }
        out.flush();
        Log.error(text.toString());
    }
}
