package lambdad.runtime;

import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.util.HashMap;
import java.util.Map;
import java.util.TimeZone;

/**
 * The variables that System.getenv tells and that child processes inherit. Java reads them once
 * and lets nobody change them, so this needs java.base/java.lang to be open.
 */
final class Environment {
    /** Java reads the environment by the locale, so it starts with this one; AWS's functions see none. */
    private static final String LOCALE = "LC_ALL";
    private static final String STARTED_WITH = "C.UTF-8";

    private Environment() {}

    static void hideLocale() throws Exception {
        if (STARTED_WITH.equals(System.getenv(LOCALE))) {
            set(LOCALE, null);
        }
    }

    /** set changes a variable; null takes it away. */
    static void set(String name, String value) throws Exception {
        Object key = valueOf("java.lang.ProcessEnvironment$Variable").invoke(null, name);
        if (value == null) {
            all().remove(key);
        } else {
            all().put(key, valueOf("java.lang.ProcessEnvironment$Value").invoke(null, value));
        }
    }

    static void replace(Map<?, ?> variables) throws Exception {
        Map<Object, Object> all = all();
        Method variable = valueOf("java.lang.ProcessEnvironment$Variable");
        Method value = valueOf("java.lang.ProcessEnvironment$Value");
        Map<Object, Object> fresh = new HashMap<Object, Object>();
        for (Map.Entry<?, ?> e : variables.entrySet()) {
            fresh.put(variable.invoke(null, e.getKey()), value.invoke(null, e.getValue()));
        }
        all.clear();
        all.putAll(fresh);
        hideLocale();
        Object zone = variables.get("TZ");
        if (zone instanceof String) {
            String name = (String) zone;
            TimeZone.setDefault(TimeZone.getTimeZone(name.startsWith(":") ? name.substring(1) : name));
        }
    }

    @SuppressWarnings("unchecked")
    private static Map<Object, Object> all() throws Exception {
        Field field = Class.forName("java.lang.ProcessEnvironment").getDeclaredField("theEnvironment");
        field.setAccessible(true);
        return (Map<Object, Object>) field.get(null);
    }

    private static Method valueOf(String type) throws Exception {
        Method method = Class.forName(type).getDeclaredMethod("valueOf", String.class);
        method.setAccessible(true);
        return method;
    }
}
