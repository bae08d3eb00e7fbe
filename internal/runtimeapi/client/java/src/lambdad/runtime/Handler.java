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

    /** Loads the function's class. A fault that is not fatal is for the invocations to tell. */
    static Handler load(String name) throws Exception {
        int colons = name.lastIndexOf("::");
        String className = colons < 0 ? name : name.substring(0, colons);
        String methodName = colons < 0 ? null : name.substring(colons + 2);
        if (className.isEmpty() || methodName != null && methodName.isEmpty()) {
            throw Fault.of("Invalid handler: `" + name + "'");
        }
        Class<?> type = classOf(className);
        if (methodName == null) {
            if (!RequestHandler.class.isAssignableFrom(type) && !RequestStreamHandler.class.isAssignableFrom(type)) {
                throw Fault.of("Class does not implement an appropriate handler interface: " + className);
            }
            methodName = "handleRequest";
        }
        Method method = find(type, methodName);
        if (method == null) {
            throw Fault.of("No public method named " + methodName
                    + " with appropriate method signature found on class " + className);
        }
        method.setAccessible(true);
        Object target = Modifier.isStatic(method.getModifiers()) ? null : create(type);
        return new Handler(target, method, type);
    }

    private static Class<?> classOf(String name) {
        try {
            return Class.forName(name);
        } catch (ClassNotFoundException e) {
            throw Fault.of("Class not found: " + name, e);
        } catch (Throwable t) {
            throw Fault.fatal("Error loading class " + name + (t.getMessage() == null ? "" : ": " + t.getMessage()), t);
        }
    }

    private static <T extends Exception> T bare(T e) {
        e.setStackTrace(new StackTraceElement[0]);
        return e;
    }

    private static Object create(Class<?> type) throws Exception {
        java.lang.reflect.Constructor<?> constructor;
        try {
            constructor = type.getConstructor();
        } catch (NoSuchMethodException e) {
            boolean inner = type.getEnclosingClass() != null && !Modifier.isStatic(type.getModifiers());
            String reason = inner
                    ? " cannot be instantiated because it is a non-static inner class"
                    : " has no public zero-argument constructor";
            throw Fault.of("Class " + type.getName() + reason, new Exception());
        }
        constructor.setAccessible(true);
        try {
            return constructor.newInstance();
        } catch (java.lang.reflect.InvocationTargetException e) {
            Throwable cause = e.getCause() == null ? e : e.getCause();
            throw Fault.fatal(Fault.messageOf(cause), cause);
        }
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
        return p.length == 0 || p.length == 1 || p.length == 2 && p[0] != Context.class && p[1] == Context.class;
    }

    /** Any of (InputStream, OutputStream, Context) in this order, but not the Context alone. */
    private static boolean isStream(Class<?>[] p) {
        int i = 0;
        if (i < p.length && p[i] == InputStream.class) {
            i++;
        }
        if (i < p.length && p[i] == OutputStream.class) {
            i++;
        }
        boolean streams = i > 0;
        if (i < p.length && p[i] == Context.class) {
            i++;
        }
        return streams && i == p.length;
    }

    /** Calls the handler and returns the response's JSON. */
    byte[] call(byte[] body, Context context) throws Throwable {
        ByteArrayOutputStream output = streams ? new ByteArrayOutputStream() : null;
        Object[] arguments = new Object[parameters.length];
        for (int i = 0; i < arguments.length; i++) {
            if (parameters[i] == Context.class) {
                arguments[i] = context;
            } else if (streams) {
                arguments[i] = parameters[i] == InputStream.class ? new ByteArrayInputStream(body) : output;
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
