package example;

import com.amazonaws.services.lambda.crac.Context;
import com.amazonaws.services.lambda.crac.Core;
import com.amazonaws.services.lambda.crac.Resource;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.TimeZone;
import java.util.UUID;
import java.util.concurrent.ThreadLocalRandom;

/** Tells what a copy sees of its start. */
public class Restored {
    private static final List<String> LOG = new ArrayList<>();
    private static final List<Resource> KEPT = Arrays.asList(new Hook(1), new Hook(2));

    static {
        for (Resource hook : KEPT) {
            Core.getGlobalContext().register(hook);
        }
        Math.random();
        UUID.randomUUID();
        ThreadLocalRandom.current().nextInt();
    }

    static class Hook implements Resource {
        private final int number;

        Hook(int number) {
            this.number = number;
        }

        @Override
        public void beforeCheckpoint(Context<? extends Resource> context) {
            LOG.add("before " + number);
        }

        @Override
        public void afterRestore(Context<? extends Resource> context) {
            LOG.add("after " + number + " " + System.getenv("OWN"));
        }
    }

    public Map<String, Object> restored(Object event) {
        Map<String, Object> m = new LinkedHashMap<>();
        m.put("Env", System.getenv());
        m.put("Log", LOG);
        m.put("Hour", TimeZone.getDefault().getDisplayName(false, TimeZone.SHORT));
        m.put("Calls", 1);
        m.put("Random", Arrays.asList(
                Math.random(), UUID.randomUUID().toString(), ThreadLocalRandom.current().nextLong(), new Random().nextLong(),
                new SplittableRandom().nextLong(), new SecureRandom().nextLong()));
        return m;
    }
}
