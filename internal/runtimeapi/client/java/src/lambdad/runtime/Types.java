package lambdad.runtime;

import java.lang.reflect.Array;
import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.lang.reflect.WildcardType;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Set;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;

/** Turns JSON values into a handler's types, and beans into maps. */
final class Types {
    private static final double SECONDS_BELOW = 1e11; // 1973 in milliseconds, 5138 in seconds

    private Types() {}

    /** Replaces a type variable of declaring by what implementing gives it. */
    static Type resolve(Type t, Class<?> implementing, Class<?> declaring) {
        if (!(t instanceof TypeVariable)) {
            return t;
        }
        Map<TypeVariable<?>, Type> given = new LinkedHashMap<TypeVariable<?>, Type>();
        collect(implementing, given);
        for (int steps = 0; t instanceof TypeVariable && given.containsKey(t) && steps < 32; steps++) {
            t = given.get(t);
        }
        return t instanceof TypeVariable ? Object.class : t;
    }

    private static void collect(Type t, Map<TypeVariable<?>, Type> given) {
        if (t == null) {
            return;
        }
        Class<?> c = raw(t);
        if (t instanceof ParameterizedType) {
            TypeVariable<?>[] names = c.getTypeParameters();
            Type[] values = ((ParameterizedType) t).getActualTypeArguments();
            for (int i = 0; i < names.length; i++) {
                given.put(names[i], values[i]);
            }
        }
        collect(c.getGenericSuperclass(), given);
        for (Type each : c.getGenericInterfaces()) {
            collect(each, given);
        }
    }

    private static Class<?> raw(Type t) {
        if (t instanceof Class) {
            return (Class<?>) t;
        }
        if (t instanceof ParameterizedType) {
            return raw(((ParameterizedType) t).getRawType());
        }
        if (t instanceof GenericArrayType) {
            return Array.newInstance(raw(((GenericArrayType) t).getGenericComponentType()), 0).getClass();
        }
        if (t instanceof WildcardType) {
            return raw(((WildcardType) t).getUpperBounds()[0]);
        }
        return Object.class;
    }

    private static Type argument(Type t, int i) {
        if (t instanceof ParameterizedType) {
            return ((ParameterizedType) t).getActualTypeArguments()[i];
        }
        return Object.class;
    }

    /** Makes a value of type t from what JsonReader read. */
    static Object convert(Object v, Type t) {
        Class<?> c = raw(t);
        if (c == Object.class || v == null) {
            return v == null && c.isPrimitive() ? zero(c) : v;
        }
        if (c == String.class || c == CharSequence.class) {
            if (v instanceof Map || v instanceof List) {
                throw mismatch(v, c);
            }
            return v.toString();
        }
        if (c.isPrimitive() || Number.class.isAssignableFrom(c) || c == Boolean.class || c == Character.class) {
            return scalar(v, c);
        }
        if (c.isEnum()) {
            for (Object constant : c.getEnumConstants()) {
                if (((Enum<?>) constant).name().equals(v)) {
                    return constant;
                }
            }
            throw mismatch(v, c);
        }
        if (c.isArray()) {
            return array(v, t, c);
        }
        if (Collection.class.isAssignableFrom(c) || c == Iterable.class) {
            return collection(v, t, c);
        }
        if (Map.class.isAssignableFrom(c)) {
            return map(v, t, c);
        }
        if (c == Date.class && v instanceof Number) {
            // AWS's events carry seconds (Kinesis, DynamoDB), beans milliseconds.
            double n = ((Number) v).doubleValue();
            return new Date((long) (Math.abs(n) < SECONDS_BELOW ? n * 1000 : n));
        }
        if (c == ByteBuffer.class && v instanceof String) {
            return ByteBuffer.wrap(java.util.Base64.getDecoder().decode((String) v));
        }
        if (c.isInstance(v)) {
            return v;
        }
        if (!(v instanceof Map)) {
            return fromText(v, c);
        }
        return bean((Map<?, ?>) v, c);
    }

    private static Object zero(Class<?> c) {
        return Array.get(Array.newInstance(c, 1), 0);
    }

    private static Object scalar(Object v, Class<?> c) {
        try {
            if (c == boolean.class || c == Boolean.class) {
                if (v instanceof Boolean || v instanceof String) {
                    return Boolean.valueOf(v.toString());
                }
            } else if (c == char.class || c == Character.class) {
                if (v instanceof String && ((String) v).length() == 1) {
                    return ((String) v).charAt(0);
                }
            } else if (v instanceof Number || v instanceof String) {
                BigDecimal n = new BigDecimal(v.toString());
                if (c == int.class || c == Integer.class) {
                    return n.toBigInteger().intValueExact();
                } else if (c == long.class || c == Long.class) {
                    return n.toBigInteger().longValueExact();
                } else if (c == double.class || c == Double.class) {
                    return n.doubleValue();
                } else if (c == float.class || c == Float.class) {
                    return n.floatValue();
                } else if (c == short.class || c == Short.class) {
                    return n.toBigInteger().shortValueExact();
                } else if (c == byte.class || c == Byte.class) {
                    return n.toBigInteger().byteValueExact();
                } else if (c == BigDecimal.class) {
                    return n;
                } else if (c == BigInteger.class) {
                    return n.toBigInteger();
                } else if (c.isInstance(v)) {
                    return v;
                }
            }
        } catch (ArithmeticException e) {
            throw mismatch(v, c);
        } catch (NumberFormatException e) {
            throw mismatch(v, c);
        }
        throw mismatch(v, c);
    }

    private static Object array(Object v, Type t, Class<?> c) {
        if (c == byte[].class && v instanceof String) {
            return java.util.Base64.getDecoder().decode((String) v);
        }
        if (!(v instanceof List)) {
            throw mismatch(v, c);
        }
        Type of = t instanceof GenericArrayType ? ((GenericArrayType) t).getGenericComponentType() : c.getComponentType();
        List<?> list = (List<?>) v;
        Object array = Array.newInstance(c.getComponentType(), list.size());
        for (int i = 0; i < list.size(); i++) {
            Array.set(array, i, convert(list.get(i), of));
        }
        return array;
    }

    private static Object collection(Object v, Type t, Class<?> c) {
        if (!(v instanceof List)) {
            throw mismatch(v, c);
        }
        Collection<Object> made;
        if (c == List.class || c == Collection.class || c == Iterable.class) {
            made = new ArrayList<Object>();
        } else if (c == Set.class) {
            made = new LinkedHashSet<Object>();
        } else if (SortedSet.class.isAssignableFrom(c) && c.isInterface()) {
            made = new TreeSet<Object>();
        } else if (Queue.class.isAssignableFrom(c) && c.isInterface()) {
            made = new ArrayDeque<Object>();
        } else {
            @SuppressWarnings("unchecked")
            Collection<Object> own = (Collection<Object>) create(c);
            made = own;
        }
        Type of = argument(t, 0);
        for (Object each : (List<?>) v) {
            made.add(convert(each, of));
        }
        return made;
    }

    private static Object map(Object v, Type t, Class<?> c) {
        if (!(v instanceof Map)) {
            throw mismatch(v, c);
        }
        Map<Object, Object> made;
        if (c == Map.class) {
            made = new LinkedHashMap<Object, Object>();
        } else if (SortedMap.class.isAssignableFrom(c) && c.isInterface()) {
            made = new TreeMap<Object, Object>();
        } else {
            @SuppressWarnings("unchecked")
            Map<Object, Object> own = (Map<Object, Object>) create(c);
            made = own;
        }
        boolean typed = t instanceof ParameterizedType && ((ParameterizedType) t).getActualTypeArguments().length == 2;
        Type keys = typed ? argument(t, 0) : Object.class;
        Type values = typed ? argument(t, 1) : Object.class;
        for (Map.Entry<?, ?> e : ((Map<?, ?>) v).entrySet()) {
            made.put(convert(e.getKey(), keys), convert(e.getValue(), values));
        }
        return made;
    }

    /** For types like UUID or Instant: a factory or constructor that takes text. */
    private static Object fromText(Object v, Class<?> c) {
        try {
            for (String name : new String[] {"fromString", "parse", "create", "valueOf"}) {
                for (Method m : c.getMethods()) {
                    if (m.getName().equals(name) && Modifier.isStatic(m.getModifiers()) && m.getReturnType() == c
                            && m.getParameterTypes().length == 1 && m.getParameterTypes()[0].isInstance(v)) {
                        return m.invoke(null, v);
                    }
                }
            }
            return c.getConstructor(v.getClass()).newInstance(v);
        } catch (ReflectiveOperationException e) {
            throw mismatch(v, c);
        }
    }

    private static Object bean(Map<?, ?> values, Class<?> c) {
        Constructor<?> whole = isRecord(c) || !hasDefaultConstructor(c) ? wholeConstructor(c) : null;
        if (whole != null) {
            return construct(whole, values, c);
        }
        Object bean = create(c);
        for (Map.Entry<?, ?> e : values.entrySet()) {
            set(bean, c, String.valueOf(e.getKey()), e.getValue());
        }
        return bean;
    }

    /** Sets a property by its setter, else its public field; an unknown one is ignored. */
    private static void set(Object bean, Class<?> c, String name, Object value) {
        Method setter = null;
        for (Method m : c.getMethods()) {
            if (m.getParameterTypes().length != 1 || m.getName().length() < 4 || !m.getName().startsWith("set")
                    || m.isBridge() || Modifier.isStatic(m.getModifiers())) {
                continue;
            }
            String property = m.getName().substring(3);
            if (decapitalised(property).equals(name)) {
                setter = m;
                break;
            }
            if (property.equalsIgnoreCase(name)) {
                setter = m;
            }
        }
        try {
            if (setter != null) {
                setter.setAccessible(true);
                setter.invoke(bean, convert(value, resolve(setter.getGenericParameterTypes()[0], c, setter.getDeclaringClass())));
                return;
            }
            for (Field f : c.getFields()) {
                if (f.getName().equalsIgnoreCase(name) && !Modifier.isStatic(f.getModifiers())
                        && !Modifier.isFinal(f.getModifiers())) {
                    f.setAccessible(true);
                    f.set(bean, convert(value, resolve(f.getGenericType(), c, f.getDeclaringClass())));
                    return;
                }
            }
        } catch (ReflectiveOperationException e) {
            throw new IllegalArgumentException("cannot set " + name + " of " + c.getName() + ": " + cause(e), e);
        }
    }

    private static Throwable cause(Throwable e) {
        return e.getCause() == null ? e : e.getCause();
    }

    private static Object create(Class<?> c) {
        try {
            Constructor<?> constructor = c.getDeclaredConstructor();
            constructor.setAccessible(true);
            return constructor.newInstance();
        } catch (ReflectiveOperationException e) {
            throw new IllegalArgumentException("cannot create " + c.getName() + ": " + cause(e), e);
        }
    }

    // Records exist from Java 16 on; these classes are compiled for 8.
    private static boolean isRecord(Class<?> c) {
        return c.getSuperclass() != null && c.getSuperclass().getName().equals("java.lang.Record");
    }

    private static Field[] components(Class<?> c) {
        List<Field> found = new ArrayList<Field>();
        for (Field f : c.getDeclaredFields()) { // in their order of declaration
            if (!Modifier.isStatic(f.getModifiers())) {
                found.add(f);
            }
        }
        return found.toArray(new Field[0]);
    }

    private static boolean hasDefaultConstructor(Class<?> c) {
        for (Constructor<?> each : c.getDeclaredConstructors()) {
            if (each.getParameterTypes().length == 0) {
                return true;
            }
        }
        return false;
    }

    /** The constructor that takes a value for each field: records and immutable beans have it. */
    private static Constructor<?> wholeConstructor(Class<?> c) {
        Field[] fields = components(c);
        Constructor<?> found = null;
        for (Constructor<?> each : c.getDeclaredConstructors()) {
            Class<?>[] types = each.getParameterTypes();
            if (types.length != fields.length || types.length == 0) {
                continue;
            }
            boolean same = true;
            for (int i = 0; i < types.length; i++) {
                same = same && types[i] == fields[i].getType();
            }
            if (same) {
                return each;
            }
            found = each; // e.g. text for a field that is a time
        }
        return found;
    }

    private static Object construct(Constructor<?> constructor, Map<?, ?> values, Class<?> c) {
        Field[] fields = components(c);
        Type[] types = constructor.getGenericParameterTypes();
        Object[] arguments = new Object[fields.length];
        for (int i = 0; i < fields.length; i++) {
            arguments[i] = convert(member(values, fields[i].getName()), types[i]);
        }
        try {
            constructor.setAccessible(true);
            return constructor.newInstance(arguments);
        } catch (ReflectiveOperationException e) {
            throw new IllegalArgumentException("cannot create " + c.getName() + ": " + cause(e), e);
        }
    }

    private static Object member(Map<?, ?> values, String name) {
        if (values.containsKey(name)) {
            return values.get(name);
        }
        for (Map.Entry<?, ?> e : values.entrySet()) {
            if (name.equalsIgnoreCase(String.valueOf(e.getKey()))) {
                return e.getValue();
            }
        }
        return null;
    }

    static boolean hasProperties(Class<?> c) {
        return !getters(c).isEmpty();
    }

    /** A bean's or record's properties: fields' order first, then further getters. */
    static Map<String, Object> properties(Object bean) {
        Class<?> c = bean.getClass();
        Map<String, Object> values = new LinkedHashMap<String, Object>();
        try {
            if (isRecord(c)) {
                for (Field f : components(c)) {
                    Method accessor = c.getDeclaredMethod(f.getName());
                    accessor.setAccessible(true);
                    values.put(f.getName(), accessor.invoke(bean));
                }
                return values;
            }
            Map<String, Method> getters = getters(c);
            for (Class<?> k = c; k != null && k != Object.class; k = k.getSuperclass()) {
                for (Field f : k.getDeclaredFields()) {
                    if (Modifier.isStatic(f.getModifiers())) {
                        continue;
                    }
                    Method getter = getters.remove(f.getName());
                    if (getter != null) {
                        values.put(f.getName(), getter.invoke(bean));
                    } else if (Modifier.isPublic(f.getModifiers()) && !values.containsKey(f.getName())) {
                        f.setAccessible(true);
                        values.put(f.getName(), f.get(bean));
                    }
                }
            }
            for (Map.Entry<String, Method> e : getters.entrySet()) {
                values.put(e.getKey(), e.getValue().invoke(bean));
            }
            return values;
        } catch (ReflectiveOperationException e) {
            throw new IllegalArgumentException("cannot read " + c.getName() + ": " + cause(e), e);
        }
    }

    private static Map<String, Method> getters(Class<?> c) {
        Map<String, Method> found = new TreeMap<String, Method>();
        for (Method m : c.getMethods()) {
            String name = m.getName();
            if (m.getParameterTypes().length != 0 || Modifier.isStatic(m.getModifiers()) || m.isBridge()
                    || m.getDeclaringClass() == Object.class || m.getReturnType() == void.class) {
                continue;
            }
            String property = null;
            if (name.startsWith("get") && name.length() > 3) {
                property = name.substring(3);
            } else if (name.startsWith("is") && name.length() > 2
                    && (m.getReturnType() == boolean.class || m.getReturnType() == Boolean.class)) {
                property = name.substring(2);
            }
            if (property != null) {
                m.setAccessible(true);
                found.put(decapitalised(property), m);
            }
        }
        return found;
    }

    private static String decapitalised(String s) {
        // A name that begins with several capitals is lowered up to the last of them, as AWS's mapper does.
        int n = 0;
        while (n < s.length() && Character.isUpperCase(s.charAt(n))) {
            n++;
        }
        return s.substring(0, n).toLowerCase(java.util.Locale.ROOT) + s.substring(n);
    }

    private static IllegalArgumentException mismatch(Object v, Class<?> c) {
        String kind = v instanceof Map ? "an object" : v instanceof List ? "an array" : "'" + v + "'";
        return new IllegalArgumentException("JSON: " + kind + " is no " + c.getName());
    }
}
