package lambdad.runtime;

import com.amazonaws.services.lambda.runtime.LambdaLogger;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;

/** The function's log: one event a call, on standard output. */
public final class Log implements LambdaLogger {
    private static final boolean JSON = "JSON".equalsIgnoreCase(System.getenv("AWS_LAMBDA_LOG_FORMAT"));
    private static final LogLevel LEAST = least(System.getenv("AWS_LAMBDA_LOG_LEVEL"));

    private static volatile String requestId;
    private static volatile String tenantId;

    static void begin(String request, String tenant) {
        requestId = request;
        tenantId = tenant;
    }

    private static LogLevel least(String name) {
        try {
            return LogLevel.fromString(name);
        } catch (IllegalArgumentException e) {
            return LogLevel.UNDEFINED;
        }
    }

    @Override
    public void log(String message) {
        log(message, LogLevel.UNDEFINED);
    }

    @Override
    public void log(byte[] message) {
        log(new String(message, StandardCharsets.UTF_8), LogLevel.UNDEFINED);
    }

    @Override
    public void log(byte[] message, LogLevel level) {
        log(new String(message, StandardCharsets.UTF_8), level);
    }

    @Override
    public void log(String message, LogLevel level) {
        if (level != LogLevel.UNDEFINED && level.compareTo(LEAST) < 0) {
            return;
        }
        String text = String.valueOf(message);
        if (JSON) {
            Map<String, Object> entry = new LinkedHashMap<String, Object>();
            entry.put("timestamp", Instant.ofEpochMilli(System.currentTimeMillis()).toString());
            if (level != LogLevel.UNDEFINED) {
                entry.put("level", level.name());
            }
            entry.put("message", text);
            if (requestId != null) {
                entry.put("AWSRequestId", requestId);
            }
            if (tenantId != null) {
                entry.put("tenantId", tenantId);
            }
            System.out.println(JsonWriter.write(entry));
            return;
        }
        event(text);
    }

    /** Writes one event. Output is split at newlines; inside an event this stands for one. */
    static void event(String text) {
        if (text.endsWith("\n")) {
            text = text.substring(0, text.length() - 1);
        }
        System.out.println(text.replace("\n", "\u001e\r"));
    }

    /** Logs an error of the function: in JSON its whole text is the message, as on AWS. */
    static void error(String text) {
        if (JSON) {
            new Log().log(text, LogLevel.ERROR);
        } else {
            event(text);
        }
    }
}
