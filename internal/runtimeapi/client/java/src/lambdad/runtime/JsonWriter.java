package lambdad.runtime;

import java.lang.reflect.Array;
import java.nio.ByteBuffer;
import java.util.Calendar;
import java.util.Collection;
import java.util.Date;
import java.util.Map;
import java.util.Optional;

/** Writes maps, collections, arrays, plain values, beans and records as JSON. */
final class JsonWriter {
    private static final int DEPTH_MAX = 500; // a cycle ends here
    private static final String HEX = "0123456789abcdef";

    private final StringBuilder b = new StringBuilder(256);

    private JsonWriter() {}

    static String write(Object value) {
        JsonWriter w = new JsonWriter();
        w.value(value, 0);
        return w.b.toString();
    }

    private void value(Object v, int depth) {
        if (depth > DEPTH_MAX) {
            throw new IllegalArgumentException("JSON: nested too deeply, or a cycle");
        }
        if (v == null) {
            b.append("null");
        } else if (v instanceof CharSequence || v instanceof Character || v instanceof Enum) {
            string(v instanceof Enum ? ((Enum<?>) v).name() : v.toString());
        } else if (v instanceof Double || v instanceof Float) {
            double d = ((Number) v).doubleValue();
            if (Double.isNaN(d) || Double.isInfinite(d)) {
                string(v.toString());
            } else {
                b.append(v);
            }
        } else if (v instanceof Number || v instanceof Boolean) {
            b.append(v);
        } else if (v instanceof Map) {
            map((Map<?, ?>) v, depth);
        } else if (v instanceof byte[]) {
            string(java.util.Base64.getEncoder().encodeToString((byte[]) v));
        } else if (v instanceof ByteBuffer) {
            ByteBuffer bytes = ((ByteBuffer) v).duplicate();
            byte[] copy = new byte[bytes.remaining()];
            bytes.get(copy);
            value(copy, depth);
        } else if (v instanceof Iterable && (v instanceof Collection || !Types.hasProperties(v.getClass()))) {
            items(((Iterable<?>) v).iterator(), depth);
        } else if (v.getClass().isArray()) {
            array(v, depth);
        } else if (v instanceof Date) {
            b.append(((Date) v).getTime());
        } else if (v instanceof Calendar) {
            b.append(((Calendar) v).getTimeInMillis());
        } else if (v instanceof Optional) {
            value(((Optional<?>) v).orElse(null), depth);
        } else if (v.getClass().getName().startsWith("java.")) {
            string(v.toString()); // UUID, URI, java.time
        } else {
            map(Types.properties(v), depth);
        }
    }

    private void map(Map<?, ?> map, int depth) {
        char before = '{';
        for (Map.Entry<?, ?> e : map.entrySet()) {
            b.append(before);
            Object key = e.getKey();
            string(key instanceof Enum ? ((Enum<?>) key).name() : String.valueOf(key));
            b.append(':');
            value(e.getValue(), depth + 1);
            before = ',';
        }
        b.append(before == '{' ? "{}" : "}");
    }

    private void items(java.util.Iterator<?> it, int depth) {
        b.append('[');
        for (boolean first = true; it.hasNext(); first = false) {
            if (!first) {
                b.append(',');
            }
            value(it.next(), depth + 1);
        }
        b.append(']');
    }

    private void array(Object array, int depth) {
        b.append('[');
        int n = Array.getLength(array);
        for (int i = 0; i < n; i++) {
            if (i > 0) {
                b.append(',');
            }
            value(Array.get(array, i), depth + 1);
        }
        b.append(']');
    }

    private void string(String s) {
        b.append('"');
        int n = s.length();
        for (int i = 0; i < n; i++) {
            char c = s.charAt(i);
            if (c == '"' || c == '\\') {
                b.append('\\').append(c);
            } else if (c == '\n') {
                b.append("\\n");
            } else if (c == '\r') {
                b.append("\\r");
            } else if (c == '\t') {
                b.append("\\t");
            } else if (c < 0x20 || loneSurrogate(s, i)) {
                b.append("\\u").append(HEX.charAt(c >> 12)).append(HEX.charAt(c >> 8 & 15))
                        .append(HEX.charAt(c >> 4 & 15)).append(HEX.charAt(c & 15));
            } else {
                b.append(c);
            }
        }
        b.append('"');
    }

    private static boolean loneSurrogate(String s, int i) {
        char c = s.charAt(i);
        if (Character.isHighSurrogate(c)) {
            return i + 1 >= s.length() || !Character.isLowSurrogate(s.charAt(i + 1));
        }
        return Character.isLowSurrogate(c) && (i == 0 || !Character.isHighSurrogate(s.charAt(i - 1)));
    }
}
