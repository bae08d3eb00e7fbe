package example;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

public class Function {
    private static int calls;

    static {
        System.out.println("loading é");
    }

    public Object echo(Object event) {
        return event;
    }

    public void nothing(Object event, Context context) {}

    public Object fail(Object event) {
        throw new IllegalStateException("some_error_msg", new RuntimeException("the cause"));
    }

    public Map<String, Object> context(Object event, Context context) {
        Map<String, Object> m = new LinkedHashMap<>();
        m.put("id", context.getAwsRequestId());
        m.put("arn", context.getInvokedFunctionArn());
        m.put("name", context.getFunctionName());
        m.put("version", context.getFunctionVersion());
        m.put("memory", String.valueOf(context.getMemoryLimitInMB()));
        m.put("group", context.getLogGroupName());
        m.put("stream", context.getLogStreamName());
        m.put("remaining", context.getRemainingTimeInMillis());
        m.put("custom", context.getClientContext() == null ? null : context.getClientContext().getCustom());
        m.put("identity", context.getIdentity().getIdentityId());
        m.put("tenant", context.getTenantId());
        m.put("trace", context.getXrayTraceId());
        return m;
    }

    public String env(String name) {
        return System.getenv(name);
    }

    public void log(Object event, Context context) {
        System.out.println("plain");
        context.getLogger().log("warned é\nsecond");
    }

    public void leave(int status) {
        System.exit(status);
    }

    public String large(Integer n) {
        return new String(new char[n]).replace('\0', 'x');
    }

    public int count() {
        return ++calls;
    }

    public Object overflow(Object event) {
        return overflow(event).hashCode();
    }

    public int size(String text) {
        return text.codePointCount(0, text.length());
    }

    public Map<String, Object> every(Object event, Context context) {
        Map<String, Object> m = new LinkedHashMap<>();
        m.put("id", context.getAwsRequestId());
        m.put("arn", context.getInvokedFunctionArn());
        m.put("name", context.getFunctionName());
        m.put("version", context.getFunctionVersion());
        m.put("memory", String.valueOf(context.getMemoryLimitInMB()));
        m.put("group", context.getLogGroupName());
        m.put("stream", context.getLogStreamName());
        m.put("tenant", context.getTenantId());
        m.put("identity", context.getIdentity().getIdentityId());
        m.put("pool", context.getIdentity().getIdentityPoolId());
        m.put("custom", context.getClientContext().getCustom());
        m.put("env", context.getClientContext().getEnvironment());
        m.put("installation", context.getClientContext().getClient().getInstallationId());
        m.put("title", context.getClientContext().getClient().getAppTitle());
        m.put("versionName", context.getClientContext().getClient().getAppVersionName());
        m.put("versionCode", context.getClientContext().getClient().getAppVersionCode());
        m.put("package", context.getClientContext().getClient().getAppPackageName());
        return m;
    }

    public Object bare(Object event) {
        throw new IllegalArgumentException();
    }

    public static class Named extends Exception {
        Named(String message, Throwable cause) {
            super(message, cause);
        }
    }

    public Object named(Object event) throws Named {
        throw new Named("gebrochen \uD83D\uDCA5 \u2028 é", null);
    }

    public Object chained(Object event) throws Named {
        throw new Named("the outer", new IllegalStateException("the cause"));
    }

    public String arity() {
        return "no arguments";
    }

    public static class Unreadable {
        public String getName() {
            throw new IllegalStateException("cannot be read");
        }
    }

    public Unreadable unserialisable(Object event) {
        return new Unreadable();
    }

    private static final List<String> background = new java.util.concurrent.CopyOnWriteArrayList<>();

    public Object leftover(String event) throws InterruptedException {
        if (event.equals("start")) {
            Thread t = new Thread(() -> {
                try {
                    Thread.sleep(50);
                } catch (InterruptedException e) {
                    return;
                }
                background.add("done");
                System.out.println("from the background");
            });
            t.setDaemon(true);
            t.start();
            return background.size();
        }
        for (int i = 0; i < 1000 && background.isEmpty(); i++) {
            Thread.sleep(10);
        }
        return background;
    }

    public String leftover_fails(String event) throws InterruptedException {
        if (event.equals("start")) {
            Thread t = new Thread(() -> {
                throw new IllegalStateException("nobody looks");
            });
            t.start();
            t.join();
        }
        return event;
    }

    public List<String> managed(String event) throws Exception {
        List<String> order = new java.util.ArrayList<>();
        return java.util.concurrent.CompletableFuture.supplyAsync(() -> {
            order.add("enter");
            try (AutoCloseable closed = () -> order.add("exit")) {
                order.add(event);
            } catch (Exception e) {
                throw new RuntimeException(e);
            }
            return order;
        }).get();
    }

    public void reads(InputStream in) throws IOException {
        System.out.println("read " + (char) in.read());
    }

    public void readsWithContext(InputStream in, Context context) throws IOException {
        System.out.println("read " + (char) in.read() + " for " + context.getFunctionName());
    }

    public void writes(OutputStream out) throws IOException {
        out.write('1');
    }

    public void writesWithContext(OutputStream out, Context context) throws IOException {
        out.write(context.getFunctionName().length() + '0');
    }

    public String onlyContext(Context context) {
        return context.getFunctionName();
    }

    public class Inner implements RequestHandler<String, String> {
        @Override
        public String handleRequest(String input, Context context) {
            return input;
        }
    }

    private static final class Hidden implements RequestHandler<String, String> {
        private Hidden(int unused) {}

        @Override
        public String handleRequest(String input, Context context) {
            return input;
        }
    }

    public enum Colour { RED, GREEN }

    public static class Item {
        private String name;
        private long count;
        private Colour colour;

        public String getName() {
            return name;
        }

        public void setName(String name) {
            this.name = name;
        }

        public long getCount() {
            return count;
        }

        public void setCount(long count) {
            this.count = count;
        }

        public Colour getColour() {
            return colour;
        }

        public void setColour(Colour colour) {
            this.colour = colour;
        }
    }

    public static class Order {
        private List<Item> items;
        private Map<String, Double> prices;
        private boolean paid;
        private Date at;
        public int[] codes;

        public List<Item> getItems() {
            return items;
        }

        public void setItems(List<Item> items) {
            this.items = items;
        }

        public Map<String, Double> getPrices() {
            return prices;
        }

        public void setPrices(Map<String, Double> prices) {
            this.prices = prices;
        }

        public boolean isPaid() {
            return paid;
        }

        public void setPaid(boolean paid) {
            this.paid = paid;
        }

        public Date getAt() {
            return at;
        }

        public void setAt(Date at) {
            this.at = at;
        }
    }

    public Order order(Order order) {
        order.items.get(0).count++;
        return order;
    }

    /** Immutable, as the classes of AWS's event library are. */
    public static class Fixed {
        private final List<Item> records;
        private final java.nio.ByteBuffer data;
        private final Date time;
        private final java.util.UUID id;

        public Fixed(List<Item> records, java.nio.ByteBuffer data, Date time, java.util.UUID id) {
            this.records = records;
            this.data = data;
            this.time = time;
            this.id = id;
        }

        public List<Item> getRecords() {
            return records;
        }

        public java.nio.ByteBuffer getData() {
            return data;
        }

        public Date getTime() {
            return time;
        }

        public java.util.UUID getId() {
            return id;
        }
    }

    public Fixed fixed(Fixed event) {
        return event;
    }

    public static class Typed implements RequestHandler<Map<String, Integer>, Integer> {
        @Override
        public Integer handleRequest(Map<String, Integer> input, Context context) {
            int sum = 0;
            for (int v : input.values()) {
                sum += v;
            }
            return sum;
        }
    }

    public abstract static class Base<T> implements RequestHandler<T, String> {
        @Override
        public String handleRequest(T input, Context context) {
            return input.getClass().getSimpleName();
        }
    }

    public static class Derived extends Base<Item> {}

    public static class Streams implements RequestStreamHandler {
        @Override
        public void handleRequest(InputStream in, OutputStream out, Context context) throws IOException {
            out.write('[');
            for (int b = in.read(); b >= 0; b = in.read()) {
                out.write(b);
            }
            out.write(']');
        }
    }
}
