package lambdad.runtime;

import com.amazonaws.services.lambda.crac.Core;
import java.io.IOException;
import java.net.ConnectException;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * Waits, after INIT, to be copied: copies find their connection broken and ask again.
 * Each becomes an execution environment of its own.
 */
final class Snapshot {
    /** Exit status of AWS's client when a hook has failed. */
    private static final int EXIT_HOOK = 64;

    private Snapshot() {}

    static void wait(Api api) throws Exception {
        try {
            Core.getGlobalContext().beforeCheckpoint(null);
            System.gc(); // what is garbage need not be copied
            Main.flush();
        } catch (Throwable t) {
            fail(api, t, "init/error", "Runtime.BeforeCheckpointError");
        }
        Map<?, ?> environment = ask(api);
        try {
            Environment.replace(environment);
            Randomness.renew();
            Core.getGlobalContext().afterRestore(null);
        } catch (Throwable t) {
            fail(api, t, "restore/error", "Runtime.AfterRestoreError");
        }
        Main.flush();
    }

    private static Map<?, ?> ask(Api api) throws IOException {
        while (true) {
            Api.Answer answer;
            try {
                answer = api.ask("restore/next");
            } catch (ConnectException e) {
                throw e;
            } catch (IOException e) {
                continue; // this is a copy
            }
            if (answer.status != 200) {
                throw new IOException("GET restore/next: status " + answer.status);
            }
            Object body = new JsonReader(new String(answer.body, StandardCharsets.UTF_8)).read();
            return (Map<?, ?>) ((Map<?, ?>) body).get("environment");
        }
    }

    private static void fail(Api api, Throwable t, String path, String type) throws IOException {
        // What a hook threw is what the function's owner looks for.
        Throwable[] thrown = t.getSuppressed();
        Failure failure = new Failure(thrown.length > 0 ? thrown[0] : t);
        failure.log();
        Main.flush();
        api.post(path, failure.json(), Api.JSON, type);
        System.exit(EXIT_HOOK);
    }
}
