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
