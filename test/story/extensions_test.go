package story

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambdad/lambdad/test/house"
)

// extensionLayer publishes a layer with an extension.
func extensionLayer(t *testing.T, c *house.Client, name, content string) string {
	t.Helper()
	return layerOf(t, c, name, map[string]string{"extensions/" + name + "*": content})
}

func layerOf(t *testing.T, c *house.Client, name string, files map[string]string) string {
	t.Helper()
	out, err := c.Lambda.PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{
		LayerName: &name, Content: &types.LayerVersionContentInput{ZipFile: house.Zip(t, files)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.LayerVersionArn)
}

// probeFile is the built extension in the folder of golangBuilt.
const probeFile = "probe"

// goExtension builds the extension of testdata.
func goExtension(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv(golangBuilt); dir != "" {
		content, err := os.ReadFile(filepath.Join(dir, probeFile))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	return goProgram(t, "./testdata/extension")
}

// goProgram builds a program of testdata that runs anywhere.
func goProgram(t *testing.T, source string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", source, err, out)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// probed makes a function with the layer, whose extension does a deed.
func probed(c *house.Client, name, layer, deed, code string, timeout int32) string {
	return c.Function(lambda.CreateFunctionInput{
		FunctionName: &name, Layers: []string{layer}, Timeout: &timeout,
		Environment: &types.Environment{Variables: map[string]string{"PROBE": deed}},
	}, map[string]string{"app.py": code})
}

// linesInOrder looks for each text in a line after the one of the last.
func linesInOrder(t *testing.T, lines []string, want ...string) {
	t.Helper()
	at := 0
	for _, w := range want {
		for at < len(lines) && !strings.Contains(lines[at], w) {
			at++
		}
		if at == len(lines) {
			t.Errorf("no line %q after the last one:\n%s", w, strings.Join(lines, ""))
			return
		}
		at++
	}
}

const echo = "import os\nprint('handler loaded')\ndef handler(event, context):\n    print('handler runs')\n    return event\n"

// watched runs a function with an extension from its INIT to its Shutdown phase.
func watched(t *testing.T, c *house.Client, layer string) {
	t.Helper()
	name := probed(c, "watched", layer, "", echo, 60)
	if a := c.Invoke(name, `{"a":1}`); a.FunctionError != "" || a.Payload != `{"a": 1}` {
		t.Fatalf("%+v", a)
	}
	c.Invoke(name, `2`)
	if _, err := c.Lambda.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: &name}); err != nil {
		t.Fatal(err)
	}
	lines := c.LogLines(name, "probe: SHUTDOWN")
	linesInOrder(t, lines, "INIT_START", `probe registered: {"functionName":"watched","functionVersion":"$LATEST","handler":"app.handler","accountId":"000000000000"}`,
		"probe sees handler:  region: us-east-1\n", "EXTENSION\tName: probe\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n",
		"START", "probe: INVOKE", "END", "REPORT", "START", "REPORT", "probe: SHUTDOWN spindown true")
	linesInOrder(t, lines, "handler loaded", "EXTENSION", "START", "handler runs", "END")
}

// TestExtensionsInGvisor: no driver knows of extensions, so what works in one works in all.
func TestExtensionsInGvisor(t *testing.T) {
	c := house.Start(t, "--isolation", "gvisor", "--runsc", needRunsc(t)).Client(t)
	layer := extensionLayer(t, c, "probe", goExtension(t))
	watched(t, c, layer)
	if got := c.Invoke(probed(c, "crash", layer, "crash", echo, 60), `1`).JSON(t); got["errorType"] != "Extension.Crash" {
		t.Errorf("%+v", got)
	}
}

func TestExtensionEvents(t *testing.T) {
	c := house.Start(t).Client(t)
	watched(t, c, extensionLayer(t, c, "probe", goExtension(t)))
}

func TestExtensions(t *testing.T) {
	h := house.Start(t)
	c := h.Client(t)
	layer := extensionLayer(t, c, "probe", goExtension(t))

	t.Run("a script", func(t *testing.T) {
		c := c.With(t)
		name := probed(c, "scripted", layerOf(t, c, "scripted", map[string]string{
			"extensions/wrapper*": "#!/bin/sh\necho wrapper starts\nPROBE_NAME=wrapper exec /opt/tools/probe\n", "tools/probe*": goExtension(t),
		}), "", echo, 10)
		c.Invoke(name, `1`)
		linesInOrder(t, c.LogLines(name, "REPORT RequestId"), "wrapper starts", "probe registered", "EXTENSION\tName: wrapper\tState: Ready", "probe: INVOKE", "REPORT")
	})
	t.Run("an image", func(t *testing.T) {
		c := c.With(t)
		one, _ := house.FunctionImages(t)
		uri := house.Registry(t) + "/extended:latest"
		house.PushImage(t, uri, house.WithFiles(t, one, map[string]string{"opt/extensions/probe": goExtension(t)}))
		imageFunction(t, c, "imaged", uri)
		if a := c.Invoke("imaged", `{"n":1}`); a.FunctionError != "" {
			t.Fatal(a.Payload)
		}
		linesInOrder(t, c.LogLines("imaged", "REPORT RequestId"), "probe registered", "EXTENSION\tName: probe\tState: Ready", "probe: INVOKE", "REPORT")
	})
	for _, tc := range []struct {
		deed, errorType, message, state string
	}{
		{"crash", "Extension.Crash", "Error: exit status 3", "EXTENSION\tName: probe\tState: Started\tEvents: []\n"},
		{"init error", "Extension.InitError", "Error: exit status 1", "EXTENSION\tName: probe\tState: InitError\tEvents: [INVOKE, SHUTDOWN]\tError Type: Extension.NoConfig\n"},
	} {
		t.Run(tc.deed, func(t *testing.T) {
			c := c.With(t)
			name := probed(c, strings.ReplaceAll(tc.deed, " ", "-"), layer, tc.deed, echo, 10)
			a := c.Invoke(name, `1`)
			if got := a.JSON(t); a.FunctionError != "Unhandled" || got["errorType"] != tc.errorType || !strings.HasSuffix(got["errorMessage"].(string), tc.message) {
				t.Errorf("%+v", got)
			}
			lines := c.LogLines(name, "REPORT RequestId")
			linesInOrder(t, lines, tc.state, "Phase: init\tStatus: error\tError Type: "+tc.errorType, tc.state, "Phase: invoke\tStatus: error", "START", tc.message+"\n"+tc.errorType, "END", "Status: error\tError Type: "+tc.errorType)
		})
	}
	t.Run("late", func(t *testing.T) {
		c := c.With(t)
		name := probed(c, "late", layer, "late", echo, 20)
		answer := func() {
			t.Helper()
			out, err := c.Lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &name, Payload: []byte("1")})
			if err != nil || out.FunctionError != nil || string(out.Payload) != "1" {
				t.Fatal(out, err)
			}
		}
		answer()
		for _, line := range c.LogLines(name, "handler runs") {
			if strings.Contains(line, "probe is late") {
				t.Error("the answer has waited for the extension")
			}
		}
		answer() // in another environment, since the first is not free
		lines := c.LogLines(name, "REPORT RequestId")
		linesInOrder(t, lines, "handler runs", "probe is late", "END", "REPORT")
		if n := strings.Count(strings.Join(lines, ""), "INIT_START"); n != 2 {
			t.Errorf("%d environments:\n%s", n, strings.Join(lines, ""))
		}
		for _, line := range lines {
			if _, rest, ok := strings.Cut(line, "\tDuration: "); ok {
				ms, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
				if err != nil || ms < 3000 {
					t.Errorf("the duration is not that of the extension, too: %s", line)
				}
			}
		}
	})
	t.Run("too late", func(t *testing.T) {
		c := c.With(t)
		name := probed(c, "too-late", layer, "too late", echo, 1)
		if a := c.Invoke(name, `1`); a.FunctionError != "" || a.Payload != `1` {
			t.Errorf("%+v", a)
		}
		linesInOrder(t, c.LogLines(name, "REPORT RequestId"), "handler runs", "Task timed out after 1.00 seconds", "END", "Status: timeout")
	})
	t.Run("dies", func(t *testing.T) {
		c := c.With(t)
		name := probed(c, "dies", layer, "dies", "import time\ndef handler(event, context):\n    time.sleep(event)\n    return event\n", 10)
		if got := c.Invoke(name, `5`).JSON(t); got["errorType"] != "Extension.Crash" || !strings.HasSuffix(got["errorMessage"].(string), "Error: exit code 0") {
			t.Errorf("%+v", got)
		}
		if a := c.Invoke(name, `0`); a.FunctionError != "" || a.Payload != `0` {
			t.Errorf("an answer before the crash: %+v", a)
		}
		linesInOrder(t, c.LogLines(name, "REPORT RequestId"), "Error: exit code 0\nExtension.Crash", "END", "Error Type: Extension.Crash")
	})
	t.Run("exit error", func(t *testing.T) {
		c := c.With(t)
		name := probed(c, "exit-error", layer, "exit error", "import time\ndef handler(event, context):\n    time.sleep(5)\n", 10)
		if got := c.Invoke(name, `5`).JSON(t); got["errorType"] != "Extension.ExitError" || !strings.HasSuffix(got["errorMessage"].(string), "Error: exit status 7") {
			t.Errorf("%+v", got)
		}
	})
	t.Run("the runtime dies", func(t *testing.T) {
		c := c.With(t)
		name := probed(c, "left", layer, "", "import os\ndef handler(event, context):\n    os._exit(9)\n", 10)
		if got := c.Invoke(name, `5`).JSON(t); got["errorType"] != "Runtime.ExitError" || !strings.HasSuffix(got["errorMessage"].(string), "Error: Runtime exited with error: exit status 9") {
			t.Errorf("%+v", got)
		}
		linesInOrder(t, c.LogLines(name, "probe: SHUTDOWN"), "Runtime exited with error: exit status 9", "REPORT", "probe: SHUTDOWN failure true")
	})
	t.Run("the runtime hangs", func(t *testing.T) {
		c := c.With(t)
		name := probed(c, "hung", layer, "", "import time\ndef handler(event, context):\n    time.sleep(60)\n", 1)
		if got := c.Invoke(name, `5`).JSON(t); got["errorType"] != "Sandbox.Timedout" {
			t.Errorf("%+v", got)
		}
		linesInOrder(t, c.LogLines(name, "probe: SHUTDOWN"), "Task timed out", "REPORT", "probe: SHUTDOWN timeout true")
	})
	t.Run("out of memory", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("needs root: others may have no control groups")
		}
		c := c.With(t)
		name := probed(c, "hungry", layer, "", "def handler(event, context):\n    return len([bytearray(b'x') * (1 << 20) for _ in range(event)])\n", 30)
		got := c.Invoke(name, `512`).JSON(t)
		if got["errorType"] != "Runtime.OutOfMemory" {
			t.Errorf("%+v", got)
		}
		linesInOrder(t, c.LogLines(name, "probe: SHUTDOWN"), "REPORT", "probe: SHUTDOWN failure true")
	})
	t.Run("the function ends its parent", func(t *testing.T) {
		c := c.With(t)
		name := probed(c, "orphan", layer, "", "import os, signal, time\ndef handler(event, context):\n    os.kill(os.getppid(), signal.SIGKILL)\n    time.sleep(20)\n", 30)
		if got := c.Invoke(name, `1`).JSON(t); got["errorType"] != "Runtime.ExitError" || !strings.HasSuffix(got["errorMessage"].(string), "signal: killed") {
			t.Errorf("%+v", got)
		}
		if got := c.Invoke(name, `1`).JSON(t); got["errorType"] != "Runtime.ExitError" {
			t.Errorf("%+v", got)
		}
	})
	t.Run("SnapStart", func(t *testing.T) {
		c := c.With(t)
		name := c.Function(lambda.CreateFunctionInput{
			FunctionName: aws.String("snapped"), Layers: []string{layer}, SnapStart: &types.SnapStart{ApplyOn: types.SnapStartApplyOnPublishedVersions},
		}, map[string]string{"app.py": echo})
		out, err := c.Lambda.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: &name})
		if err != nil {
			t.Fatal(err)
		}
		version := name + ":" + aws.ToString(out.Version)
		c.WaitActive(version)
		if a := c.Invoke(version, `1`); a.FunctionError != "" {
			t.Error(a.Payload)
		}
		got, err := c.Lambda.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: &version})
		if err != nil || got.SnapStart.OptimizationStatus != types.SnapStartOptimizationStatusOff {
			t.Error(got, err)
		}
		linesInOrder(t, c.LogLines(name, "REPORT RequestId"), "EXTENSION", "probe: INVOKE", "REPORT")
	})
	t.Run("not executable", func(t *testing.T) {
		c := c.With(t)
		name := probed(c, "script", extensionLayer(t, c, "script", "#!/nowhere/sh\n"), "", echo, 10)
		if got := c.Invoke(name, `5`).JSON(t); got["errorType"] != "Extension.LaunchError" || !strings.HasSuffix(got["errorMessage"].(string), "Error: fork/exec /opt/extensions/script: no such file or directory") {
			t.Errorf("%+v", got)
		}
		linesInOrder(t, c.LogLines(name, "REPORT RequestId"), "EXTENSION\tName: script\tState: LaunchError\tEvents: []\tError Type: UnknownError\n")
	})
}

// TestInternalExtension: one in the runtime's process gets INVOKE and holds the environment, and no SHUTDOWN.
func TestInternalExtension(t *testing.T) {
	c := house.Start(t).Client(t)
	name := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("inner")}, map[string]string{"app.py": `
import json, os, signal, threading, urllib.request
base = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2020-01-01/extension/"
def call(path, body, **headers):
    r = urllib.request.Request(base + path, data=body, headers={k.replace("_", "-"): v for k, v in headers.items()})
    return urllib.request.urlopen(r)
res = call("register", b'{"events":["INVOKE"]}', Lambda_Extension_Name="inner")
ident = res.headers["Lambda-Extension-Identifier"]
seen = []
def events():
    while True:
        e = json.load(call("event/next", None, Lambda_Extension_Identifier=ident))
        print("inner:", e["eventType"])
        seen.append(e["requestId"])
threading.Thread(target=events, daemon=True).start()
def gone(*_):
    print("asked to end")
    os._exit(0)
signal.signal(signal.SIGTERM, gone)
def handler(event, context):
    return len(seen)
`})
	for i := range 3 {
		if a := c.Invoke(name, `1`); a.FunctionError != "" {
			t.Fatalf("%d: %s", i, a.Payload)
		}
	}
	if _, err := c.Lambda.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: &name}); err != nil {
		t.Fatal(err)
	}
	linesInOrder(t, c.LogLines(name, "asked to end"), "EXTENSION\tName: inner\tState: Ready\tEvents: [INVOKE]\n", "START", "inner: INVOKE", "REPORT", "asked to end")
}
