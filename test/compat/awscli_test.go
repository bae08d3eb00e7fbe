package compat

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/test/house"
)

// TestAWSCLI is the README's story, told with the aws command line.
func TestAWSCLI(t *testing.T) {
	h := house.Start(t)
	aws := atEndpoint(t, h, needProgram(t, "aws"))
	dir := t.TempDir()
	writeFile(t, dir, "code.zip", house.Zip(t, map[string]string{"app.py": pythonHandler}))
	writeFile(t, dir, "code2.zip", house.Zip(t, map[string]string{"app.py": strings.ReplaceAll(pythonHandler, `"version":`, `"changed": True, "version":`)}))

	if out := run(t, h, dir, aws, "sts", "get-caller-identity", "--query", "Account", "--output", "text"); strings.TrimSpace(out) != "000000000000" {
		t.Fatalf("account %q", out)
	}
	role := strings.TrimSpace(run(t, h, dir, aws, "iam", "create-role", "--role-name", "r", "--assume-role-policy-document", trustPolicy, "--query", "Role.Arn", "--output", "text"))
	run(t, h, dir, aws, "iam", "attach-role-policy", "--role-name", "r", "--policy-arn", "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")

	created := decode(t, run(t, h, dir, aws, "lambda", "create-function", "--function-name", "cli", "--runtime", "python3.12", "--handler", "app.handler", "--role", role, "--zip-file", "fileb://code.zip", "--environment", "Variables={GREETING=hello}", "--output", "json"))
	if created["State"] != "Pending" || created["StateReasonCode"] != "Creating" {
		t.Errorf("created: State %v, StateReasonCode %v", created["State"], created["StateReasonCode"])
	}
	run(t, h, dir, aws, "lambda", "wait", "function-active-v2", "--function-name", "cli")

	answer := cliInvoke(t, h, dir, aws, "cli", `{"n":1}`)
	if got := answer["payload"].(map[string]any); got["greeting"] != "hello" || got["version"] != "$LATEST" {
		t.Errorf("payload %v", got)
	}
	if !strings.Contains(answer["log"].(string), "REPORT RequestId: ") || !strings.Contains(answer["log"].(string), "got {\"n\": 1}") {
		t.Errorf("log tail %q", answer["log"])
	}
	failed := cliInvoke(t, h, dir, aws, "cli", `{"fail":true}`)
	if got := failed["payload"].(map[string]any); failed["FunctionError"] != "Unhandled" || got["errorType"] != "ValueError" || got["errorMessage"] != "asked to fail" {
		t.Errorf("failure: %v %v", failed["FunctionError"], got)
	}

	version := decode(t, run(t, h, dir, aws, "lambda", "publish-version", "--function-name", "cli", "--output", "json"))
	if version["Version"] != "1" {
		t.Errorf("published version %v", version["Version"])
	}
	run(t, h, dir, aws, "lambda", "wait", "published-version-active", "--function-name", "cli", "--qualifier", "1")
	provision := []string{"lambda", "put-provisioned-concurrency-config", "--function-name", "cli", "--qualifier", "1", "--provisioned-concurrent-executions", "1", "--output", "json"}
	if put := decode(t, run(t, h, dir, aws, provision...)); put["Status"] != "IN_PROGRESS" || put["RequestedProvisionedConcurrentExecutions"] != 1.0 {
		t.Errorf("provisioned: %v", put)
	}
	if list := decode(t, run(t, h, dir, aws, "lambda", "list-provisioned-concurrency-configs", "--function-name", "cli", "--output", "json")); len(list["ProvisionedConcurrencyConfigs"].([]any)) != 1 {
		t.Errorf("provisioned of the function: %v", list)
	}
	run(t, h, dir, aws, "lambda", "delete-provisioned-concurrency-config", "--function-name", "cli", "--qualifier", "1")
	if _, failure := try(t, h, dir, aws, "lambda", "get-provisioned-concurrency-config", "--function-name", "cli", "--qualifier", "1"); !strings.Contains(failure, "ProvisionedConcurrencyConfigNotFoundException") {
		t.Errorf("get of the deleted configuration: %s", failure)
	}
	run(t, h, dir, aws, "lambda", "update-function-code", "--function-name", "cli", "--zip-file", "fileb://code2.zip")
	run(t, h, dir, aws, "lambda", "wait", "function-updated-v2", "--function-name", "cli")
	if got := cliInvoke(t, h, dir, aws, "cli", `{}`)["payload"].(map[string]any); got["changed"] != true {
		t.Errorf("after the update: %v", got)
	}
	if got := cliInvoke(t, h, dir, aws, "cli", `{}`, "--qualifier", "1")["payload"].(map[string]any); got["changed"] != nil || got["version"] != "1" {
		t.Errorf("version 1 after the update of $LATEST: %v", got)
	}
	run(t, h, dir, aws, "lambda", "update-function-configuration", "--function-name", "cli", "--environment", "Variables={GREETING=moin}", "--timeout", "7")
	run(t, h, dir, aws, "lambda", "wait", "function-updated", "--function-name", "cli")
	if got := cliInvoke(t, h, dir, aws, "cli", `{}`)["payload"].(map[string]any); got["greeting"] != "moin" {
		t.Errorf("after the change of the environment: %v", got)
	}

	got := decode(t, run(t, h, dir, aws, "lambda", "get-function", "--function-name", "cli", "--output", "json"))
	location := got["Code"].(map[string]any)["Location"].(string)
	if content := download(t, location); string(content) != string(mustRead(t, filepath.Join(dir, "code2.zip"))) {
		t.Errorf("Code.Location gave %d bytes, not the zip", len(content))
	}

	streams := decode(t, run(t, h, dir, aws, "logs", "describe-log-streams", "--log-group-name", "/aws/lambda/cli", "--output", "json"))
	if len(streams["logStreams"].([]any)) == 0 {
		t.Error("no log stream")
	}
	lines := run(t, h, dir, aws, "logs", "filter-log-events", "--log-group-name", "/aws/lambda/cli", "--filter-pattern", "REPORT", "--query", "events[].message", "--output", "text")
	if strings.Count(lines, "REPORT RequestId") < 5 {
		t.Errorf("REPORT lines in the log: %q", lines)
	}

	run(t, h, dir, aws, "lambda", "delete-function", "--function-name", "cli")
	if _, failure := try(t, h, dir, aws, "lambda", "get-function", "--function-name", "cli"); !strings.Contains(failure, "ResourceNotFoundException") || !strings.Contains(failure, "Function not found: arn:aws:lambda:us-east-1:000000000000:function:cli") {
		t.Errorf("get of the deleted function: %s", failure)
	}
}

// TestAWSLogsTail follows a function's log while it runs; it needs version 2 of the command line.
func TestAWSLogsTail(t *testing.T) {
	h := house.Start(t)
	aws := atEndpoint(t, h, needCLI2(t))
	dir := t.TempDir()
	run(t, h, dir, aws, "logs", "create-log-group", "--log-group-name", "g")
	run(t, h, dir, aws, "logs", "create-log-stream", "--log-group-name", "g", "--log-stream-name", "s")

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tail := h.Command(ctx, aws, "logs", "tail", "g", "--follow", "--since", "1h")
	tail.Env = append(tail.Env, "PYTHONUNBUFFERED=1") // it writes to a pipe here
	out, err := tail.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tail.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { tail.Process.Kill(); tail.Wait() }()
	seen := make(chan string, 1)
	go func() {
		var all strings.Builder
		buf := make([]byte, 4096)
		for !strings.Contains(all.String(), "second line") {
			n, err := out.Read(buf)
			all.Write(buf[:n])
			if err != nil {
				break
			}
		}
		seen <- all.String()
	}()
	for _, message := range []string{"first line", "second line"} {
		events, _ := json.Marshal([]map[string]any{{"timestamp": time.Now().UnixMilli(), "message": message}})
		run(t, h, dir, aws, "logs", "put-log-events", "--log-group-name", "g", "--log-stream-name", "s", "--log-events", string(events))
	}
	if got := <-seen; !strings.Contains(got, "first line") || !strings.Contains(got, "second line") {
		t.Errorf("tail printed %q", got)
	}
}

// endpointVariable is the first release of each major version that reads AWS_ENDPOINT_URL.
// Source: aws-cli's changelogs, 1.29.0 and 2.13.0. Debian 12 has an older one.
var endpointVariable = map[int]int{1: 29, 2: 13}

// atEndpoint is the command line itself, or, if it is too old to read AWS_ENDPOINT_URL, a script
// that names the endpoint to it.
func atEndpoint(t *testing.T, h *house.House, aws string) string {
	t.Helper()
	out, err := exec.Command(aws, "--version").CombinedOutput()
	if err != nil {
		t.Skipf("aws --version: %v", err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(string(out), "aws-cli/%d.%d", &major, &minor); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if first, known := endpointVariable[major]; !known || minor >= first {
		return aws
	}
	script := writeFile(t, t.TempDir(), "aws", []byte("#!/bin/sh\nexec '"+aws+"' --endpoint-url '"+h.Endpoint+"' \"$@\"\n"))
	if err := os.Chmod(script, 0o755); err != nil {
		t.Fatal(err)
	}
	return script
}

// cliInvoke invokes with --log-type Tail and returns the CLI's answer with "payload" and "log" decoded.
func cliInvoke(t *testing.T, h *house.House, dir, aws, function, payload string, extra ...string) map[string]any {
	t.Helper()
	writeFile(t, dir, "in.json", []byte(payload))
	args := append([]string{"lambda", "invoke", "--function-name", function, "--payload", "fileb://in.json", "--log-type", "Tail", "--output", "json"}, extra...)
	answer := decode(t, run(t, h, dir, aws, append(args, "out.json")...))
	answer["payload"] = decodeAny(t, string(mustRead(t, filepath.Join(dir, "out.json"))))
	answer["log"] = decodeBase64(t, answer["LogResult"].(string))
	return answer
}

// needCLI2 finds version 2 of the aws command line: on PATH or where Debian puts it.
func needCLI2(t *testing.T) string {
	t.Helper()
	for _, candidate := range []string{"aws", "/usr/bin/aws"} {
		path, err := exec.LookPath(candidate)
		if err != nil {
			continue
		}
		out, err := exec.Command(path, "--version").CombinedOutput()
		if err == nil && strings.HasPrefix(string(out), "aws-cli/2") {
			return path
		}
	}
	t.Skip("needs version 2 of the aws command line")
	return ""
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
