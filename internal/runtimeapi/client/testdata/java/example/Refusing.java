package example;

import com.amazonaws.services.lambda.crac.Context;
import com.amazonaws.services.lambda.crac.Core;
import com.amazonaws.services.lambda.crac.Resource;

/** Has a hook that fails: the one that its handler's name tells. */
public class Refusing implements Resource {
    private static final String HANDLER = System.getenv("_HANDLER");
    private static final Refusing KEPT = new Refusing();

    static {
        Core.getGlobalContext().register(KEPT);
    }

    public Object before(Object event) {
        return event;
    }

    public Object after(Object event) {
        return event;
    }

    private static void refuse(String when) {
        if (HANDLER.endsWith(when)) {
            throw new IllegalStateException("refused");
        }
    }

    @Override
    public void beforeCheckpoint(Context<? extends Resource> context) {
        refuse("before");
    }

    @Override
    public void afterRestore(Context<? extends Resource> context) {
        refuse("after");
    }
}
