package lambdad.runtime;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Reads JSON into maps, lists, strings, numbers, booleans and null. */
final class JsonReader {
    private static final int DEPTH_MAX = 1000;

    private final String s;
    private int i;

    JsonReader(String s) {
        this.s = s;
    }

    Object read() {
        Object value = value(0);
        space();
        if (i != s.length()) {
            throw error("unexpected characters behind the value");
        }
        return value;
    }

    private Object value(int depth) {
        if (depth > DEPTH_MAX) {
            throw error("nested too deeply");
        }
        space();
        if (i >= s.length()) {
            throw error("unexpected end");
        }
        switch (s.charAt(i)) {
            case '{':
                return object(depth);
            case '[':
                return array(depth);
            case '"':
                return string();
            case 't':
                return word("true", Boolean.TRUE);
            case 'f':
                return word("false", Boolean.FALSE);
            case 'n':
                return word("null", null);
            default:
                return number();
        }
    }

    private Map<String, Object> object(int depth) {
        Map<String, Object> map = new LinkedHashMap<String, Object>();
        i++;
        if (next('}')) {
            return map;
        }
        do {
            space();
            if (i >= s.length() || s.charAt(i) != '"') {
                throw error("expected a member's name");
            }
            String name = string();
            if (!next(':')) {
                throw error("expected ':'");
            }
            map.put(name, value(depth + 1));
        } while (next(','));
        if (!next('}')) {
            throw error("expected ',' or '}'");
        }
        return map;
    }

    private List<Object> array(int depth) {
        List<Object> list = new ArrayList<Object>();
        i++;
        if (next(']')) {
            return list;
        }
        do {
            list.add(value(depth + 1));
        } while (next(','));
        if (!next(']')) {
            throw error("expected ',' or ']'");
        }
        return list;
    }

    private String string() {
        int start = ++i;
        int quote = s.indexOf('"', start);
        if (quote < 0) {
            throw error("unterminated string");
        }
        int escape = s.indexOf('\\', start);
        if (escape < 0 || escape > quote) {
            i = quote + 1;
            return s.substring(start, quote);
        }
        StringBuilder b = new StringBuilder(quote - start + 16);
        while (i < s.length()) {
            char c = s.charAt(i++);
            if (c == '"') {
                return b.toString();
            }
            b.append(c == '\\' ? escaped() : c);
        }
        throw error("unterminated string");
    }

    private char escaped() {
        char c = i < s.length() ? s.charAt(i++) : 0;
        switch (c) {
            case '"':
            case '\\':
            case '/':
                return c;
            case 'b':
                return '\b';
            case 'f':
                return '\f';
            case 'n':
                return '\n';
            case 'r':
                return '\r';
            case 't':
                return '\t';
            case 'u':
                int code = 0;
                for (int end = i + 4; i < end; i++) {
                    int digit = i < s.length() ? Character.digit(s.charAt(i), 16) : -1;
                    if (digit < 0) {
                        throw error("bad escape");
                    }
                    code = code << 4 | digit;
                }
                return (char) code;
            default:
                throw error("bad escape");
        }
    }

    private Object word(String word, Object value) {
        if (!s.startsWith(word, i)) {
            throw error("unexpected character");
        }
        i += word.length();
        return value;
    }

    private Object number() {
        int start = i;
        boolean whole = true;
        while (i < s.length()) {
            char c = s.charAt(i);
            if (c == '.' || c == 'e' || c == 'E' || c == '+') {
                whole = false;
            } else if (c != '-' && (c < '0' || c > '9')) {
                break;
            }
            i++;
        }
        String text = s.substring(start, i);
        try {
            if (!whole) {
                return Double.valueOf(text);
            }
            if (text.length() > 18) {
                BigInteger big = new BigInteger(text);
                return big.bitLength() < 64 ? (Object) big.longValue() : big;
            }
            long n = Long.parseLong(text);
            return n == (int) n ? (Object) (int) n : (Object) n;
        } catch (NumberFormatException e) {
            i = start;
            throw error("unexpected character");
        }
    }

    private boolean next(char c) {
        space();
        if (i < s.length() && s.charAt(i) == c) {
            i++;
            return true;
        }
        return false;
    }

    private void space() {
        while (i < s.length()) {
            char c = s.charAt(i);
            if (c != ' ' && c != '\n' && c != '\r' && c != '\t') {
                return;
            }
            i++;
        }
    }

    private IllegalArgumentException error(String message) {
        return new IllegalArgumentException("JSON: " + message + " at character " + i);
    }
}
