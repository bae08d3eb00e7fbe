package lambdad.runtime;

import com.amazonaws.services.lambda.runtime.LambdaRuntime;
import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;

/**
 * The Java runtime client: serves invocations one after the other.
 *
 * <p>Lambdas, String.format, regular expressions and java.net.http are avoided in
 * these classes: loading what stands behind them takes longer than all of the rest.
 */
public final class Main {
    /** Before java17 the trace is in the environment, too (Lambda developer guide, "Defined runtime environment variables"). */
    private static final boolean TRACE_VARIABLE = older(String.valueOf(System.getenv("AWS_EXECUTION_ENV")));

    private Main() {}

    private static boolean older(String runtime) {
        return runtime.startsWith("AWS_Lambda_java8") || runtime.equals("AWS_Lambda_java11");
    }

    public static void main(String[] args) throws Exception {
        System.setOut(lines(FileDescriptor.out));
        System.setErr(lines(FileDescriptor.err));
        Api api = new Api(System.getenv("AWS_LAMBDA_RUNTIME_API"));
        Handler handler = null;
        Fault fault = null;
        try {
            Environment.hideLocale();
            try {
                handler = Handler.load(String.valueOf(System.getenv("_HANDLER")));
            } catch (Fault f) {
                if (f.fatal) {
                    throw f;
                }
                fault = f;
            }
        } catch (Throwable t) {
            Failure failure = new Failure(t);
            failure.log();
            flush();
            api.post("init/error", failure.json(), Api.JSON, failure.type());
            System.exit(1);
            return;
        }
        flush();
        if (System.getenv("_LAMBDAD_TEMPLATE") != null) {
            Snapshot.wait(api);
        }
        while (true) {
            serve(api, handler, fault, api.next());
        }
    }

    private static void serve(Api api, Handler handler, Fault fault, Api.Answer request) throws Exception {
        String id = request.header("lambda-runtime-aws-request-id");
        String trace = request.header("lambda-runtime-trace-id");
        if (trace != null) {
            System.setProperty("com.amazonaws.xray.traceHeader", trace);
        } else {
            System.clearProperty("com.amazonaws.xray.traceHeader");
        }
        if (TRACE_VARIABLE) {
            Environment.set("_X_AMZN_TRACE_ID", trace);
        }
        Log.begin(id, request.header("lambda-runtime-aws-tenant-id"));
        byte[] response;
        try {
            if (fault != null) {
                throw fault;
            }
            response = handler.call(request.body, new Invocation(request, LambdaRuntime.getLogger()));
        } catch (Throwable t) {
            Failure failure = new Failure(t);
            failure.log();
            flush();
            api.post("invocation/" + id + "/error", failure.json(), Api.JSON, failure.type());
            if (failure.fatal()) {
                System.exit(1); // the machine's state is not to be trusted any more
            }
            return;
        }
        flush();
        api.post("invocation/" + id + "/response", response, Api.JSON, null);
    }

    /** A stream that writes whole lines, in UTF-8 whatever the locale. */
    private static PrintStream lines(FileDescriptor fd) throws Exception {
        return new PrintStream(new BufferedOutputStream(new FileOutputStream(fd), 8192), true, "UTF-8");
    }

    static void flush() {
        System.out.flush();
        System.err.flush();
    }
}
