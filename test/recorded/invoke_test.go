package recorded_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/test/house"
	"github.com/lambdad/lambdad/test/recorded"
)

func TestMain(m *testing.M) { os.Exit(house.Main(m)) }

// Cases that are not asked: their functions are not ours to run.
const (
	rustProgram   = `TestLambdaRuntimesCommon::.*\[provided`
	filesOfImages = `test_runtime_introspection_x86`
)

func suite(region string) *recorded.Suite {
	return &recorded.Suite{
		Service: "Lambda, invokes", File: "testdata/invoke.json", Account: "000000000000", Region: region,
		Exceptions: []recorded.Exception{
			{Case: rustProgram, Reason: "the recorded function is a Rust program, which the test does not build"},
			{Case: filesOfImages, Reason: "asks for files of AWS's own images"},
			{Case: `test_lambda_runtime_error$`, Difference: `stackTrace`, Reason: "a stack trace names the interpreter's own files and lines, which are of another patch release here"},
			{Case: `test_runtime_ulimits$`, Difference: `RLIMIT_(NPROC|CORE)`, Reason: "no core files, which the host would handle outside of the sandbox; processes are limited to 1,024 for the sandbox, not for the user"},
			{Case: `test_lambda_runtime_exit_segfault$`, Reason: "a crash is told at once; AWS let it run into the timeout"},
			{Case: `test_lambda_with_context$`, Label: `^creation$`, Difference: `^CreateFunctionResponse\.(LoggingConfig|RuntimeVersionConfig|SnapStart)`, Reason: "recorded before LoggingConfig, SnapStart and RuntimeVersionConfig were answered"},
		},
		Fields: []recorded.Field{
			{Path: "environment.AWS_ENDPOINT_URL", Reason: "ours: an SDK inside a function reaches lambdad by it"},
			{Path: "environment.AWS_LAMBDA_RUNTIME_API", Reason: "the Runtime API is on the sandbox's own loopback, not on 169.254.100.1"},
			{Path: "environment.AWS_XRAY_DAEMON_ADDRESS", Reason: "as the Runtime API"},
			{Path: "environment._AWS_XRAY_DAEMON_ADDRESS", Reason: "as the Runtime API"},
			{Path: "environment.RUBYLIB", Reason: "AWS's names the gem of its own runtime client"},
			{Path: "environment.LD_LIBRARY_PATH", Reason: "a runtime taken from the host brings its own library folders", HostsOwn: true},
			{Path: "environment.PATH", Reason: "a runtime taken from the host has its interpreter in its own folder", HostsOwn: true},
			{Path: "environment.LC_CTYPE", Reason: "Python sets it itself where the system lacks AWS's en_US.UTF-8", HostsOwn: true},
			{Path: "environment.NODE_EXTRA_CA_CERTS", Reason: "names a file of AWS's images"},
		},
	}
}

// TestInvokes makes the requests behind the recorded invokes with functions of our own that do what
// the recorded ones did.
func TestInvokes(t *testing.T) {
	h := house.Start(t)
	c := newClient(t, h)
	notAsked := regexp.MustCompile(rustProgram + "|" + filesOfImages)
	i := 0
	suite(string(h.Region)).Run(t, func(t *testing.T, rec recorded.Case) map[string]any {
		if notAsked.MatchString(rec.Name) {
			return nil
		}
		i++
		return ask(t, c, fmt.Sprintf("rec-%d", i), rec)
	})
}

// ask makes the requests of one case.
func ask(t *testing.T, c *client, name string, rec recorded.Case) map[string]any {
	t.Helper()
	runtime := rec.Parameter()
	create := func(in map[string]any, files map[string]string) map[string]any {
		t.Helper()
		in["FunctionName"] = name
		answer := c.create(t, in, files)
		if answer["State"] != "Pending" {
			t.Fatalf("create: %v", answer)
		}
		c.wait(t, name)
		return answer
	}
	basic := func(runtime, handler string, timeout int) map[string]any {
		return map[string]any{"Runtime": runtime, "Handler": handler, "Timeout": timeout}
	}
	both := func(in map[string]any, files map[string]string) any {
		in["Environment"] = map[string]any{"Variables": map[string]any{}}
		return map[string]any{"CreateFunctionResponse": create(in, files), "CreateEventSourceMappingResponse": nil}
	}
	python := func(source string) map[string]string { return map[string]string{"handler.py": source} }

	switch rec.Function() {
	case "test_introspection_invoke":
		in, files := common(t, runtime, introspection)
		in["Environment"] = map[string]any{"Variables": map[string]any{"TEST_KEY": "TEST_VAL"}}
		got := map[string]any{"create_function_result": create(in, files)}
		got["invocation_result_payload"] = c.invoke(t, name, "", nil, []byte("{}"))["Payload"]
		got["invocation_result_payload_qualified"] = c.invoke(t, name, "$LATEST", nil, []byte("{}"))["Payload"]
		return got
	case "test_runtime_wrapper_invoke":
		in, files := common(t, runtime, introspection)
		in["Environment"] = map[string]any{"Variables": map[string]any{"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/environment_wrapper"}}
		files["environment_wrapper*"] = "#!/bin/sh\nexport WRAPPER_VAR=test_wrapped\nexec \"$@\"\n"
		got := map[string]any{"create_function_result": create(in, files)}
		payload, _ := c.invoke(t, name, "", nil, []byte("{}"))["Payload"].(map[string]any)
		if env, _ := payload["environment"].(map[string]any); env["WRAPPER_VAR"] != "test_wrapped" {
			t.Errorf("the wrapper's variable is %v", env["WRAPPER_VAR"])
		}
		return got
	case "test_uncaught_exception_invoke":
		if strings.HasPrefix(runtime, "provided") {
			in := map[string]any{"Runtime": runtime, "Handler": "function.handler", "MemorySize": 1024}
			if want, _ := rec.Answers["create_function_result"].(map[string]any); want != nil {
				in["Handler"], in["Architectures"] = want["Handler"], want["Architectures"]
			}
			return map[string]any{"create_function_result": create(in, map[string]string{"bootstrap*": goBootstrap(t)}), "error_result": c.invoke(t, name, "", nil, []byte(`{"error_msg": "some_error_msg"}`))}
		}
		in, files := common(t, runtime, failing)
		return map[string]any{"create_function_result": create(in, files), "error_result": c.invoke(t, name, "", nil, []byte(`{"error_msg": "some_error_msg"}`))}
	case "test_invoke_nodejs_es6_lambda":
		in := basic(runtime, "lambda_handler_es6.handler", 30)
		creation := both(in, map[string]string{"lambda_handler_es6.mjs": "export const handler = async (event) => ({statusCode: 200, body: JSON.stringify(`response from localstack lambda: ${JSON.stringify(event)}`)});\n"})
		return map[string]any{"creation-result": creation, "invocation-result": c.invoke(t, name, "", nil, []byte(`{"event_type":"test_lambda"}`))}
	case "test_lambda_too_large_response":
		create(basic("python3.12", "handler.handler", 30), python("def handler(event, context):\n    return 'x' * event['bytes']\n"))
		big := []byte(`{"bytes": 6291557}`)
		return map[string]any{"invoke_result": c.invoke(t, name, "", nil, big), "invoke_result_2": c.invoke(t, name, "", nil, big)}
	case "test_lambda_cache_local":
		if runtime == "python" {
			create(basic("python3.12", "handler.handler", 30), python("counter = -1\ndef handler(event, context):\n    global counter\n    counter += 1\n    return {'counter': counter}\n"))
		} else {
			create(basic("nodejs20.x", "index.handler", 30), map[string]string{"index.js": "let counter = -1;\nexports.handler = async () => ({counter: ++counter});\n"})
		}
		return map[string]any{"first_invoke_result": c.invoke(t, name, "", nil, nil), "second_invoke_result": c.invoke(t, name, "", nil, nil)}
	case "test_lambda_init_environment":
		return map[string]any{
			"create-result":          both(basic("python3.14", "handler.handler", 30), python("import os\ndef handler(event, context):\n    return {'environment': dict(os.environ)}\n")),
			"lambda-init-inspection": c.invoke(t, name, "", nil, nil),
		}
	case "test_runtime_ulimits":
		create(basic("python3.12", "handler.handler", 30), python("import resource\ndef handler(event, context):\n    return {n: resource.getrlimit(getattr(resource, n)) for n in dir(resource) if n.startswith('RLIMIT_') and n in event}\n"))
		want, _ := rec.Answers["invoke_runtime_ulimits"].(map[string]any)
		event, _ := json.Marshal(want["Payload"])
		return map[string]any{"invoke_runtime_ulimits": c.invoke(t, name, "", nil, event)}
	case "test_lambda_invoke_payload_encoding_error":
		create(basic("python3.12", "handler.handler", 30), python("def handler(event, context):\n    return event\n"))
		if strings.Contains(rec.Name, "body-") {
			return map[string]any{"invoke_function_invalid_payload_body": c.invoke(t, name, "", nil, []byte("n\x87r\x9e\xe9\xb5\xd7I\xee\x9bmt"))}
		}
		return map[string]any{"invoke_function_invalid_payload_message": c.invoke(t, name, "", nil, []byte("\x99\xeb,j\x07\xa1zYh"))}
	case "test_lambda_runtime_error":
		create(basic("python3.13", "lambda_runtime_error.handler", 30), map[string]string{"lambda_runtime_error.py": "raise Exception(\"Runtime startup fails\")\n"})
		return map[string]any{"invocation_error": c.invoke(t, name, "", nil, nil)}
	case "test_lambda_runtime_exit":
		create(basic("python3.12", "handler.handler", 30), python("import os\nos._exit(0)\n"))
		return map[string]any{"invocation_error": c.invoke(t, name, "", nil, nil)}
	case "test_lambda_runtime_exit_segfault":
		create(basic("python3.12", "handler.handler", 30), python("import ctypes\nctypes.string_at(0)\n"))
		return map[string]any{"invocation_error": c.invoke(t, name, "", nil, nil)}
	case "test_invocation_type_dry_run":
		create(basic("python3.12", "handler.handler", 30), python("def handler(event, context):\n    return event\n"))
		return map[string]any{"invoke-result": c.invoke(t, name, "", map[string]string{"X-Amz-Invocation-Type": "DryRun"}, []byte("{}"))}
	case "test_invoke_exceptions":
		return map[string]any{"invoke_function_doesnotexist": c.invoke(t, "doesnotexist", "", nil, nil)}
	case "test_lambda_with_context":
		custom := base64.StdEncoding.EncodeToString([]byte(`{"custom":{"foo":"bar"},"client":{"snap":["crackle","pop"]},"env":{"fizz":"buzz"}}`))
		return map[string]any{
			"creation":   both(basic("nodejs16.x", "lambda_integration.handler", 30), map[string]string{"lambda_integration.js": "exports.handler = async (event, context) => ({context});\n"}),
			"invocation": c.invoke(t, name, "", map[string]string{"X-Amz-Client-Context": custom}, []byte("{}")),
		}
	case "test_lambda_handler_update":
		in := basic("python3.12", "handler.handler", 30)
		in["Environment"] = map[string]any{"Variables": map[string]any{}}
		create(in, python("def handler(event, context):\n    return {'handler': 'handler'}\ndef handler_two(event, context):\n    return {'handler': 'handler_two'}\n"))
		got := map[string]any{"invoke_result_handler_one": c.invoke(t, name, "", nil, nil)}
		got["update_function_configuration_result"] = c.call(t, "PUT", "/2015-03-31/functions/"+name+"/configuration", map[string]any{"Handler": "handler.handler_two"})
		got["get_function_result"] = c.wait(t, name)
		got["invoke_result_handler_two"] = c.invoke(t, name, "", nil, nil)
		c.call(t, "POST", "/2015-03-31/functions/"+name+"/versions", map[string]any{})
		got["invoke_result_handler_two_postpublish"] = c.invoke(t, name, "", nil, nil)
		return got
	case "test_lambda_versions_with_code_changes":
		return versions(t, c, name)
	case "test_request_id_invoke":
		create(basic("python3.12", "handler.handler", 30), python("import logging\nlogging.getLogger().setLevel(logging.INFO)\ndef handler(event, context):\n    logging.info('RequestId log message')\n    return context.aws_request_id\n"))
		response, body := c.do(t, "POST", "/2015-03-31/functions/"+name+"/invocations", map[string]string{"X-Amz-Log-Type": "Tail"}, nil)
		tail, err := base64.StdEncoding.DecodeString(response.Header.Get("X-Amz-Log-Result"))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(tail)), "\n")
		for i := range lines {
			lines[i] = strings.TrimRight(lines[i], "\t")
		}
		return map[string]any{
			"invoke_result": map[string]any{"StatusCode": response.StatusCode, "ExecutedVersion": response.Header.Get("X-Amz-Executed-Version"), "Payload": string(body), "ResponseMetadata": map[string]any{"HTTPStatusCode": response.StatusCode}},
			"log_entries":   map[string]any{"logs": lines},
		}
	}
	t.Fatalf("no requests are written for %s", rec.Name)
	return nil
}

func versions(t *testing.T, c *client, name string) map[string]any {
	t.Helper()
	code := func(id string) map[string]string {
		return map[string]string{"handler.py": "def handler(event, context):\n    return {'invoked_arn': context.invoked_function_arn, 'version_from_ctx': context.function_version, 'version_id': '" + id + "'}\n"}
	}
	path := "/2015-03-31/functions/" + name
	got := map[string]any{"create_response": c.create(t, map[string]any{"FunctionName": name, "Runtime": "python3.12", "Handler": "handler.handler", "Description": "No version :("}, code("version1"))}
	c.wait(t, name)
	got["first_publish_response"] = c.call(t, "POST", path+"/versions", map[string]any{"Description": "First version description :)"})
	c.wait(t, name+":1")
	got["invocation_result_v1"] = c.invoke(t, name, "1", nil, nil)
	got["update_lambda_response"] = c.call(t, "PUT", path+"/code", map[string]any{"ZipFile": house.Zip(t, code("version2"))})
	c.wait(t, name)
	got["invocation_result_latest"] = c.invoke(t, name, "", nil, nil)
	got["invocation_result_v1_end"] = c.invoke(t, name, "1", nil, nil)
	got["second_publish_response"] = c.call(t, "POST", path+"/versions", map[string]any{"Description": "Second version description :)"})
	c.wait(t, name+":2")
	got["invocation_result_v2"] = c.invoke(t, name, "2", nil, nil)
	got["update_lambda_response_with_publish"] = c.call(t, "PUT", path+"/code", map[string]any{"ZipFile": house.Zip(t, code("version3")), "Publish": true})
	c.wait(t, name)
	c.wait(t, name+":3")
	got["invocation_result_v3"] = c.invoke(t, name, "3", nil, nil)
	got["invocation_result_latest_end"] = c.invoke(t, name, "", nil, nil)
	got["invocation_result_v2_end"] = c.invoke(t, name, "2", nil, nil)
	return got
}

// goBootstrap is a Go function that fails with the event's error_msg.
func goBootstrap(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "bootstrap")
	cmd := exec.Command("go", "build", "-trimpath", "-o", out, "./testdata/failing")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	content, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
