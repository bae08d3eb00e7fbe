package worker

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/telemetry"
)

// xrayDaemon is where AWS's environments say that the daemon listens. Nothing
// listens there yet; the SDKs send datagrams and do not wait.
const (
	xrayDaemonHost = "169.254.79.129"
	xrayDaemonPort = "2000"
)

// variablesOf is the whole environment of a function's processes. What AWS
// reserves cannot be overridden; the rest can. Source: Lambda developer guide,
// "Defined runtime environment variables", and the recorded
// test_lambda_init_environment.
func variablesOf(fn *record.Function, rt Runtime, stream telemetry.LogStreamID, creds TemporaryCredentials, initialization string) []string {
	vars := baseVariables(Runtime{})
	if fn.Image != nil {
		delete(vars, "LD_LIBRARY_PATH") // the image's own, if it has one
	} else if strings.HasPrefix(fn.Runtime, "provided") {
		if fn.Runtime == "provided.al2" { // the one whose image has no /var/lang
			vars["LD_LIBRARY_PATH"] = strings.TrimPrefix(vars["LD_LIBRARY_PATH"], "/var/lang/lib:")
			vars["PATH"] = strings.TrimPrefix(vars["PATH"], "/var/lang/bin:")
		}
	} else {
		// What the shell script around the managed runtimes leaves.
		vars["PWD"], vars["SHLVL"] = "/var/task", "0"
	}
	switch {
	case strings.HasPrefix(fn.Runtime, "python"):
		vars["PYTHONPATH"] = "/var/runtime"
	case strings.HasPrefix(fn.Runtime, "nodejs"):
		major := strings.TrimSuffix(strings.TrimPrefix(fn.Runtime, "nodejs"), ".x")
		vars["NODE_PATH"] = "/opt/nodejs/node" + major + "/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task"
	}
	for _, v := range rt.Env {
		if name, value, ok := strings.Cut(v, "="); ok {
			vars[name] = value
		}
	}
	maps.Copy(vars, fn.Environment)
	if _, ok := fn.Environment["TZ"]; !ok {
		vars["TZ"] = ":UTC"
	}
	if _, ok := fn.Environment["AWS_ENDPOINT_URL"]; !ok {
		vars["AWS_ENDPOINT_URL"] = "http://" + sandbox.EndpointAddress
	}
	maps.Copy(vars, map[string]string{
		"AWS_ACCESS_KEY_ID":               creds.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY":           creds.SecretAccessKey,
		"AWS_SESSION_TOKEN":               creds.SessionToken,
		"AWS_REGION":                      string(fn.ID.Region),
		"AWS_DEFAULT_REGION":              string(fn.ID.Region),
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(fn.MemoryMiB),
		"AWS_LAMBDA_FUNCTION_NAME":        fn.ID.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     fn.Version,
		"AWS_LAMBDA_INITIALIZATION_TYPE":  initialization,
		"AWS_LAMBDA_LOG_GROUP_NAME":       stream.Group,
		"AWS_LAMBDA_LOG_STREAM_NAME":      stream.Stream,
		"AWS_LAMBDA_RUNTIME_API":          sandbox.RuntimeAPIAddress,
		"AWS_XRAY_DAEMON_ADDRESS":         xrayDaemonHost + ":" + xrayDaemonPort,
		"_AWS_XRAY_DAEMON_ADDRESS":        xrayDaemonHost,
		"_AWS_XRAY_DAEMON_PORT":           xrayDaemonPort,
		"LAMBDA_RUNTIME_DIR":              "/var/runtime",
		"LAMBDA_TASK_ROOT":                "/var/task",
		"_HANDLER":                        fn.Handler,
	})
	if fn.Image != nil {
		vars["AWS_EXECUTION_ENV"] = imageEnvironment
		delete(vars, "_HANDLER") // an image's entry point tells its runtime
	} else if !strings.HasPrefix(fn.Runtime, "provided") {
		// Source: the recorded environments; the OS-only runtimes have none.
		vars["AWS_EXECUTION_ENV"] = "AWS_Lambda_" + fn.Runtime
	}
	if fn.Logging.Format == logFormatJSON {
		vars["AWS_LAMBDA_LOG_FORMAT"] = logFormatJSON
		vars["AWS_LAMBDA_LOG_LEVEL"] = applicationLevelOf(fn.Logging)
	}
	return listOf(vars)
}

// baseVariables are those that no function changes, and all that a runtime of AWS's is
// started with before it has one.
func baseVariables(rt Runtime) map[string]string {
	vars := map[string]string{
		"LANG":                     "en_US.UTF-8",
		"LD_LIBRARY_PATH":          "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
		"PATH":                     "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
		"TZ":                       ":UTC",
		"AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
		"AWS_LAMBDA_RUNTIME_API":   sandbox.RuntimeAPIAddress,
		"LAMBDA_RUNTIME_DIR":       "/var/runtime",
		"LAMBDA_TASK_ROOT":         "/var/task",
	}
	for _, v := range rt.Env {
		if name, value, ok := strings.Cut(v, "="); ok {
			vars[name] = value
		}
	}
	return vars
}

// listOf is an environment as programs get it, in one order.
func listOf(vars map[string]string) []string {
	out := make([]string, 0, len(vars)+2)
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		out = append(out, name+"="+vars[name])
	}
	return out
}
