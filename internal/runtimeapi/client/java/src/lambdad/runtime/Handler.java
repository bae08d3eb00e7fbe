package lambdad.runtime;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;
import java.nio.charset.StandardCharsets;

/** The function's handler: "package.Class" or "package.Class::method". */
final class Handler {
    private final Object target;
    private final Method method;
    private final Class<?>[] parameters;
    private final Type eventType; // null if it takes none
    private final boolean streams;

    /** Carries what the function threw through code that catches. */
    static final class Thrown extends Exception {
        Thrown(Throwable cause) {
            super(cause);
        }
    }

    private Handler(Object target, Method method, Class<?> type) {
        this.target = target;
        this.method = method;
        this.parameters = method.getParameterTypes();
        this.streams = isStream(parameters);
        boolean event = parameters.length > 0 && parameters[0] != Context.class && !streams;
        this.eventType = event ? Types.resolve(method.getGenericParameterTypes()[0], type, method.getDeclaringClass()) : null;
    }

    static Handler load(String name) throws Exception {
        int colons = name.indexOf("::");
        String className = colons < 0 ? name : name.substring(0, colons);
        Class<?> type;
        try {
            type = Class.forName(className);
        } catch (ClassNotFoundException e) {
            throw bare(new ClassNotFoundException("Class not found: " + className));
        }
        String methodName = "handleRequest";
        if (colons >= 0) {
            methodName = name.substring(colons + 2);
        } else if (!RequestHandler.class.isAssignableFrom(type) && !RequestStreamHandler.class.isAssignableFrom(type)) {
            throw bare(new IllegalArgumentException("Class " + className
                    + " does not implement RequestStreamHandler, RequestHandler, or define a method named handleRequest"));
        }
        Method method = find(type, methodName);
        if (method == null) {
            throw bare(new NoSuchMethodException(
                    "No public method named " + methodName + " with appropriate method signature found on class " + type));
        }
        method.setAccessible(true);
        Object target = Modifier.isStatic(method.getModifiers()) ? null : create(type);
        return new Handler(target, method, type);
    }

    private static <T extends Exception> T bare(T e) {
        e.setStackTrace(new StackTraceElement[0]);
        return e;
    }

    private static Object create(Class<?> type) throws Exception {
        java.lang.reflect.Constructor<?> constructor;
        try {
            constructor = type.getDeclaredConstructor();
        } catch (NoSuchMethodException e) {
            throw bare(new NoSuchMethodException("Class " + type.getName() + " has no public zero-argument constructor"));
        }
        constructor.setAccessible(true);
        return constructor.newInstance();
    }

    /** The public method of that name that takes the most; compilers' bridges do not count. */
    private static Method find(Class<?> type, String name) {
        Method best = null;
        for (Method m : type.getMethods()) {
            if (!m.getName().equals(name) || m.isBridge() || !fits(m.getParameterTypes())) {
                continue;
            }
            if (best == null || rank(m) > rank(best)
                    || rank(m) == rank(best) && best.getDeclaringClass().isAssignableFrom(m.getDeclaringClass())) {
                best = m;
            }
        }
        return best;
    }

    private static int rank(Method m) {
        Class<?>[] p = m.getParameterTypes();
        boolean context = p.length > 0 && p[p.length - 1] == Context.class;
        return p.length * 2 + (context ? 1 : 0);
    }

    private static boolean fits(Class<?>[] p) {
        if (isStream(p)) {
            return true;
        }
        return p.length <= 1 || p.length == 2 && p[1] == Context.class;
    }

    private static boolean isStream(Class<?>[] p) {
        return p.length >= 2 && p.length <= 3 && p[0] == InputStream.class && p[1] == OutputStream.class
                && (p.length == 2 || p[2] == Context.class);
    }

    /** Calls the handler and returns the response's JSON. */
    byte[] call(byte[] body, Context context) throws Throwable {
        ByteArrayOutputStream output = streams ? new ByteArrayOutputStream() : null;
        Object[] arguments = new Object[parameters.length];
        for (int i = 0; i < arguments.length; i++) {
            if (parameters[i] == Context.class) {
                arguments[i] = context;
            } else if (streams) {
                arguments[i] = i == 0 ? new ByteArrayInputStream(body) : output;
            } else {
                arguments[i] = event(body);
            }
        }
        Object result;
        try {
            result = method.invoke(target, arguments);
        } catch (java.lang.reflect.InvocationTargetException e) {
            throw new Thrown(e.getCause());
        }
        if (streams) {
            return output.toByteArray();
        }
        if (method.getReturnType() == void.class) {
            return "null".getBytes(StandardCharsets.UTF_8);
        }
        try {
            return JsonWriter.write(result).getBytes(StandardCharsets.UTF_8);
        } catch (RuntimeException e) {
            throw bare(new RuntimeException("An error occurred during JSON serialization of response", e));
        }
    }

    private Object event(byte[] body) {
        try {
            return Types.convert(new JsonReader(new String(body, StandardCharsets.UTF_8)).read(), eventType);
        } catch (RuntimeException e) {
            throw bare(new RuntimeException("An error occurred during JSON parsing", e));
        }
    }
}
