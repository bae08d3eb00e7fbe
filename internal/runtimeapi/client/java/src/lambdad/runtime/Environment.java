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
    private Environment() {}

    static void replace(Map<?, ?> variables) throws Exception {
        Class<?> holder = Class.forName("java.lang.ProcessEnvironment");
        Field field = holder.getDeclaredField("theEnvironment");
        field.setAccessible(true);
        @SuppressWarnings("unchecked")
        Map<Object, Object> all = (Map<Object, Object>) field.get(null);
        Method variable = valueOf("java.lang.ProcessEnvironment$Variable");
        Method value = valueOf("java.lang.ProcessEnvironment$Value");
        Map<Object, Object> fresh = new HashMap<Object, Object>();
        for (Map.Entry<?, ?> e : variables.entrySet()) {
            fresh.put(variable.invoke(null, e.getKey()), value.invoke(null, e.getValue()));
        }
        all.clear();
        all.putAll(fresh);
        Object zone = variables.get("TZ");
        if (zone instanceof String) {
            String name = (String) zone;
            TimeZone.setDefault(TimeZone.getTimeZone(name.startsWith(":") ? name.substring(1) : name));
        }
    }

    private static Method valueOf(String type) throws Exception {
        Method method = Class.forName(type).getDeclaredMethod("valueOf", String.class);
        method.setAccessible(true);
        return method;
    }
}
