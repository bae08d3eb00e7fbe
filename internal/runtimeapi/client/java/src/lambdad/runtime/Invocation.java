package lambdad.runtime;

import com.amazonaws.services.lambda.runtime.Client;
import com.amazonaws.services.lambda.runtime.ClientContext;
import com.amazonaws.services.lambda.runtime.CognitoIdentity;
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.LambdaLogger;
import java.util.LinkedHashMap;
import java.util.Map;

/** The Context of one invocation. */
final class Invocation implements Context {
    private final Api.Answer request;
    private final LambdaLogger logger;
    private final long deadline;
    private final ClientContext clientContext;
    private final CognitoIdentity identity;

    Invocation(Api.Answer request, LambdaLogger logger) {
        this.request = request;
        this.logger = logger;
        this.deadline = Long.parseLong(request.header("lambda-runtime-deadline-ms"));
        Map<?, ?> client = object(request.header("lambda-runtime-client-context"));
        this.clientContext = client == null ? null : new Sender(client);
        this.identity = new Identity(object(request.header("lambda-runtime-cognito-identity")));
    }

    private static Map<?, ?> object(String json) {
        if (json == null) {
            return null;
        }
        Object value = new JsonReader(json).read();
        return value instanceof Map ? (Map<?, ?>) value : null;
    }

    public String getAwsRequestId() {
        return request.header("lambda-runtime-aws-request-id");
    }

    public String getLogGroupName() {
        return System.getenv("AWS_LAMBDA_LOG_GROUP_NAME");
    }

    public String getLogStreamName() {
        return System.getenv("AWS_LAMBDA_LOG_STREAM_NAME");
    }

    public String getFunctionName() {
        return System.getenv("AWS_LAMBDA_FUNCTION_NAME");
    }

    public String getFunctionVersion() {
        return System.getenv("AWS_LAMBDA_FUNCTION_VERSION");
    }

    public String getInvokedFunctionArn() {
        return request.header("lambda-runtime-invoked-function-arn");
    }

    public CognitoIdentity getIdentity() {
        return identity;
    }

    public ClientContext getClientContext() {
        return clientContext;
    }

    public int getRemainingTimeInMillis() {
        return (int) Math.max(0, deadline - System.currentTimeMillis());
    }

    public int getMemoryLimitInMB() {
        String memory = System.getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE");
        return memory == null ? 0 : Integer.parseInt(memory);
    }

    public LambdaLogger getLogger() {
        return logger;
    }

    @Override
    public String getTenantId() {
        return request.header("lambda-runtime-aws-tenant-id");
    }

    @Override
    public String getXrayTraceId() {
        return request.header("lambda-runtime-trace-id");
    }

    private static final class Identity implements CognitoIdentity {
        private final Map<?, ?> values;

        Identity(Map<?, ?> values) {
            this.values = values;
        }

        public String getIdentityId() {
            return text(values, "cognitoIdentityId");
        }

        public String getIdentityPoolId() {
            return text(values, "cognitoIdentityPoolId");
        }
    }

    private static final class Sender implements ClientContext {
        private final Map<?, ?> values;

        Sender(Map<?, ?> values) {
            this.values = values;
        }

        public Client getClient() {
            Object client = values.get("client");
            return client instanceof Map ? new Application((Map<?, ?>) client) : null;
        }

        public Map<String, String> getCustom() {
            return texts(values.get("custom"));
        }

        public Map<String, String> getEnvironment() {
            return texts(values.get("env"));
        }
    }

    private static final class Application implements Client {
        private final Map<?, ?> values;

        Application(Map<?, ?> values) {
            this.values = values;
        }

        public String getInstallationId() {
            return text(values, "installation_id");
        }

        public String getAppTitle() {
            return text(values, "app_title");
        }

        public String getAppVersionName() {
            return text(values, "app_version_name");
        }

        public String getAppVersionCode() {
            return text(values, "app_version_code");
        }

        public String getAppPackageName() {
            return text(values, "app_package_name");
        }
    }

    private static String text(Map<?, ?> values, String key) {
        Object value = values == null ? null : values.get(key);
        return value == null ? null : value.toString();
    }

    private static Map<String, String> texts(Object object) {
        if (!(object instanceof Map)) {
            return null;
        }
        Map<String, String> texts = new LinkedHashMap<String, String>();
        for (Map.Entry<?, ?> e : ((Map<?, ?>) object).entrySet()) {
            texts.put(String.valueOf(e.getKey()), e.getValue() == null ? null : e.getValue().toString());
        }
        return texts;
    }
}
