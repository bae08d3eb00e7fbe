package lambdad.runtime;

import java.lang.reflect.Field;
import java.security.SecureRandom;
import java.util.Random;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Makes sure that no two copies draw the same. java.security.SecureRandom mixes in what the
 * system gives, but keeps some of that for a moment; the other generators have a state that was
 * copied. This needs java.lang, java.util and java.util.concurrent of java.base to be open.
 */
final class Randomness {
    /** More than SecureRandom keeps of the system's bytes. */
    private static final int KEPT = 1024;

    private Randomness() {}

    static void renew() throws Exception {
        SecureRandom system = new SecureRandom();
        system.nextBytes(new byte[KEPT]);
        ((Random) field("java.lang.Math$RandomNumberGeneratorHolder", "randomNumberGenerator").get(null))
                .setSeed(system.nextLong());
        ((AtomicLong) field("java.util.Random", "seedUniquifier").get(null)).set(system.nextLong());
        ((AtomicLong) field("java.util.SplittableRandom", "defaultGen").get(null)).set(system.nextLong());
        ((AtomicLong) field("java.util.concurrent.ThreadLocalRandom", "seeder").get(null)).set(system.nextLong());
        Field seed = field("java.lang.Thread", "threadLocalRandomSeed");
        for (Thread t : threads()) {
            seed.setLong(t, system.nextLong());
        }
    }

    private static Thread[] threads() {
        ThreadGroup group = Thread.currentThread().getThreadGroup();
        while (group.getParent() != null) {
            group = group.getParent();
        }
        Thread[] all = new Thread[group.activeCount() + 64];
        int n = group.enumerate(all, true);
        Thread[] some = new Thread[n];
        System.arraycopy(all, 0, some, 0, n);
        return some;
    }

    private static Field field(String type, String name) throws Exception {
        Field field = Class.forName(type).getDeclaredField(name);
        field.setAccessible(true);
        return field;
    }
}
