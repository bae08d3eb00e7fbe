package client

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/runtimeapi"
)

// TestConformance holds every client to the same table of behaviours.
func TestConformance(t *testing.T) {
	for _, want := range []string{"python", "nodejs", "ruby", "java"} {
		t.Run(want, func(t *testing.T) { byName(t, want) }) // counts the skipped
	}
	for _, l := range variants(languages(t)) {
		t.Run(l.String(), func(t *testing.T) {
			for _, b := range behaviours {
				t.Run(b.name, func(t *testing.T) {
					b.test(t, l)
				})
			}
		})
	}
}

var behaviours = []struct {
	name string
	test func(t *testing.T, l language)
}{
	{"echo", func(t *testing.T, l language) {
		p := start(t, l, l.handler("echo"))
		for _, v := range []string{
			`{}`, `[]`, `null`, `""`, `0`, `-1.5`, `true`, `{"a":[1,{"b":null}],"c":"\u2028"}`, `"日本語 😀 é"`, `"\u0000\n\"\\"`,
			`12345678901234567890`, `"` + strings.Repeat("deep ", 2000) + `"`,
		} {
			equalJSON(t, p.value(v), v)
		}
	}},
	{"no return", func(t *testing.T, l language) {
		if v := start(t, l, l.handler("nothing")).value(`{}`); v != "null" {
			t.Fatal(v)
		}
	}},
	{"state is kept", func(t *testing.T, l language) {
		p := start(t, l, l.handler("count"))
		for _, want := range []string{"1", "2", "3"} {
			if v := p.value(`{}`); v != want {
				t.Fatal(v)
			}
		}
	}},
	{"large payloads", func(t *testing.T, l language) {
		p := start(t, l, l.handler("echo"))
		v := `"` + strings.Repeat("x", 6<<20-8) + `é"` // before python3.12 only ASCII leaves as it came
		equalJSON(t, p.value(v), v)
		equalJSON(t, p.value(`1`), `1`)
		// The largest event there is, of characters with four bytes each.
		q := start(t, l, l.handler("size"))
		largest := `"` + strings.Repeat("💥", (6<<20-2)/4) + `"`
		want := map[string]string{"nodejs": "3145726"}[l.name] // UTF-16
		if want == "" {
			want = "1572863"
		}
		if got := q.value(largest); got != want {
			t.Error(got)
		}
	}},
	{"response over the bound", func(t *testing.T, l language) {
		p := start(t, l, l.handler("large"))
		if v := p.value("6291554"); len(v) != runtimeapi.ResponseBytesMax {
			t.Fatal(len(v))
		}
		e := p.failure("6291555")
		if e.Type != "Function.ResponseSizeTooLarge" {
			t.Fatal(e)
		}
		if v := p.value("1"); v != `"x"` { // the environment lives on
			t.Fatal(v)
		}
	}},
	{"errors", testFailures},
	{"handler names", testHandlerNames},
	{"the whole context", testWholeContext},
	{"background work", testBackground},
	{"background failure", testBackgroundFailure},
	{"resources that are closed", testManaged},
	{"error", func(t *testing.T, l language) {
		p := start(t, l, l.handler("fail"))
		for range 2 { // the environment lives on
			e := p.failure(`{}`)
			want := map[string]functionError{
				"python": {Type: "Exception", members: " errorMessage errorType requestId stackTrace"},
				"nodejs": {Type: "Error", members: " errorType errorMessage trace"},
				"ruby":   {Type: "Function<RuntimeError>", members: " errorMessage errorType stackTrace"},
				"java":   {Type: "java.lang.IllegalStateException", members: " errorMessage errorType stackTrace cause"},
			}[l.name]
			if l.runtime == "python3.8" {
				want.members = " errorMessage errorType stackTrace"
			}
			if e.Message != "some_error_msg" || e.Type != want.Type || e.members != want.members {
				t.Errorf("%+v", e)
			}
			trace := strings.Join(append(e.StackTrace, e.Trace...), "\n")
			if !strings.Contains(trace, "unction") || l.name != "nodejs" && strings.Contains(trace, "lambdad_") { // AWS shows its own frames there as well
				t.Errorf("trace %q", trace)
			}
		}
		p.idle()
		if log := p.log.String(); !strings.Contains(log, "some_error_msg") {
			t.Errorf("not in the log: %q", log)
		}
	}},
	{"import error", func(t *testing.T, l language) {
		e := start(t, l, map[string]string{"java": "example.Lacking::h"}[l.name]+map[string]string{"python": "lacking.h", "nodejs": "lacking.h", "ruby": "lacking.h"}[l.name]).initFailure()
		switch l.name {
		case "python":
			if e.Type != "Runtime.ImportModuleError" || e.Message != "Unable to import module 'lacking': No module named 'does_not_exist'" {
				t.Errorf("%+v", e)
			}
		case "nodejs":
			if e.Type != "Runtime.ImportModuleError" || !strings.HasPrefix(e.Message, "Error: Cannot find module 'does_not_exist'\nRequire stack:\n- ") ||
				!strings.HasSuffix(e.Message, "/index.mjs") || strings.Count(e.Message, "\n- ") != 2 { // the function's file and AWS's one file
				t.Errorf("%+v", e)
			}
		case "ruby":
			if e.Type != "Init<LoadError>" || e.Message != "cannot load such file -- does_not_exist" {
				t.Errorf("%+v", e)
			}
		case "java":
			if e.Type != "java.lang.NoClassDefFoundError" || e.Message != "example/Lacking$Gone" {
				t.Errorf("%+v", e)
			}
		}
	}},
	{"no such module", func(t *testing.T, l language) {
		if l.name == "java" {
			t.Skip("told by the invoke: handler names")
		}
		e := start(t, l, "absent.h").initFailure()
		want := map[string]string{
			"python": "Unable to import module 'absent': No module named 'absent'",
			"nodejs": "Error: Cannot find module 'absent'",
			"ruby":   "cannot load such file -- absent",
		}[l.name]
		if !strings.HasPrefix(e.Message, want) {
			t.Errorf("%+v", e)
		}
	}},
	{"no such handler", func(t *testing.T, l language) {
		if l.name == "java" {
			t.Skip("told by the invoke: handler names")
		}
		p := start(t, l, l.handler("absent"))
		switch l.name {
		case "python":
			if e := p.initFailure(); e.Type != "Runtime.HandlerNotFound" || e.Message != "Handler 'absent' missing on module 'function'" {
				t.Errorf("%+v", e)
			}
		case "nodejs":
			if e := p.initFailure(); e.Type != "Runtime.HandlerNotFound" || e.Message != l.handler("absent")+" is undefined or not exported" {
				t.Errorf("%+v", e)
			}
		case "ruby": // found out at the call, as on AWS
			if e := p.failure(`{}`); e.Type != "Function<NoMethodError>" || !strings.Contains(e.Message, "undefined method `absent'") && !strings.Contains(e.Message, "undefined method 'absent'") {
				t.Errorf("%+v", e)
			}
		}
	}},
	{"syntax error", func(t *testing.T, l language) {
		if l.name == "java" {
			t.Skip("a compiled language")
		}
		e := start(t, l, "broken.h").initFailure()
		want := map[string][2]string{
			"python": {"Runtime.UserCodeSyntaxError", "Syntax error in module 'broken': "},
			"nodejs": {"Runtime.UserCodeSyntaxError", "SyntaxError: "},
			"ruby":   {"Init<SyntaxError>", ""},
		}[l.name]
		if e.Type != want[0] || !strings.HasPrefix(e.Message, want[1]) {
			t.Errorf("%+v", e)
		}
	}},
	{"error in INIT", func(t *testing.T, l language) {
		e := start(t, l, map[string]string{"java": "example.Failing::h"}[l.name]+map[string]string{"python": "failing.h", "nodejs": "failing.h", "ruby": "failing.h"}[l.name]).initFailure()
		if e.Message != "Runtime startup fails" {
			t.Errorf("%+v", e)
		}
		if l.name == "python" && l.runtime != "python3.8" {
			// As recorded: the importlib frames stay, and there is no id yet.
			if *e.RequestID != "" || !strings.Contains(e.StackTrace[0], "in import_module\n") || !strings.Contains(e.StackTrace[len(e.StackTrace)-1], "failing.py\", line 1, in <module>\n    raise Exception(\"Runtime startup fails\")\n") {
				t.Errorf("%+v", e)
			}
		}
	}},
	{"exit in INIT", func(t *testing.T, l language) {
		p := start(t, l, map[string]string{"java": "example.Leaving::h"}[l.name]+map[string]string{"python": "leaving.h", "nodejs": "leaving.h", "ruby": "leaving.h"}[l.name])
		if code := p.exit(""); code != 3 {
			t.Fatal(code)
		}
	}},
	{"exit in INVOKE", func(t *testing.T, l language) {
		for payload, want := range map[string]int{"0": 0, "4": 4} {
			if code := start(t, l, l.handler("leave")).exit(payload); code != want {
				t.Fatal(code)
			}
		}
	}},
	{"malformed event", func(t *testing.T, l language) {
		p := start(t, l, l.handler("echo"))
		p.failure(`{"a":`)
		equalJSON(t, p.value(`1`), `1`)
	}},
	{"context", testContext},
	{"environment", func(t *testing.T, l language) {
		p := start(t, l, l.handler("env"), "MINE=été")
		for name, want := range map[string]string{
			"MINE": `"été"`, "AWS_EXECUTION_ENV": `"AWS_Lambda_` + l.runtime + `"`, "_HANDLER": `"` + l.handler("env") + `"`,
			"AWS_LAMBDA_FUNCTION_NAME": `"fn"`, "ABSENT": "null", "LC_ALL": "null",
		} {
			equalJSON(t, p.value(`"`+name+`"`), want)
		}
	}},
	{"trace variable", testTraceVariable},
	{"text log", testTextLog},
	{"JSON log", testJSONLog},
}

// testTraceVariable: Java has the variable before java17 only, the others always; it goes with its invoke.
func testTraceVariable(t *testing.T, l language) {
	runtimes := []string{l.runtime}
	if l.name == "java" {
		runtimes = append(runtimes, "java11")
	}
	for _, runtime := range runtimes {
		l.runtime = runtime
		p := start(t, l, l.handler("env"))
		inv := invocation(`"_X_AMZN_TRACE_ID"`)
		inv.TraceID = "Root=1-5759e988-bd862e3fe1be46a994272793"
		want := `"` + inv.TraceID + `"`
		if runtime == "java17" {
			want = "null"
		}
		equalJSON(t, string(p.send(inv).Payload), want)
		equalJSON(t, p.value(`"_X_AMZN_TRACE_ID"`), "null")
	}
}

func equalJSON(t *testing.T, got, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("%.200q: %v", got, err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	gb, _ := json.Marshal(g)
	wb, _ := json.Marshal(w)
	if string(gb) != string(wb) {
		t.Errorf("%.300s, want %.300s", gb, wb)
	}
}

func testContext(t *testing.T, l language) {
	p := start(t, l, l.handler("context"))
	type context struct {
		ID, ARN, Name, Version, Memory, Group, Stream string
		Remaining                                     int
		Custom                                        map[string]string
		Identity, Tenant, Trace                       *string
	}
	var c context
	if err := json.Unmarshal([]byte(p.value(`{}`)), &c); err != nil {
		t.Fatal(err)
	}
	if c.ID != string(testID) || c.ARN != testARN || c.Name != "fn" || c.Version != "7" || c.Memory != "512" || c.Group != "/aws/lambda/fn" || c.Stream != "2026/01/01/[7]abc" {
		t.Errorf("%+v", c)
	}
	if c.Remaining < 10_000 || c.Remaining > 30_000 {
		t.Error("remaining", c.Remaining)
	}
	if c.Custom != nil || c.Identity != nil || c.Tenant != nil || c.Trace != nil {
		t.Errorf("%+v", c)
	}
	inv := invocation(`{}`)
	inv.ClientContext = `{"custom":{"k":"é"},"client":{"app_title":"x"},"env":{}}`
	inv.CognitoIdentity = `{"cognitoIdentityId":"i","cognitoIdentityPoolId":"p"}`
	inv.TenantID = "blue"
	inv.TraceID = "Root=1-5759e988-bd862e3fe1be46a994272793"
	if err := json.Unmarshal(p.send(inv).Payload, &c); err != nil {
		t.Fatal(err)
	}
	if c.Custom["k"] != "é" || *c.Identity != "i" || *c.Tenant != "blue" || *c.Trace != inv.TraceID {
		t.Errorf("%+v", c)
	}
	inv = invocation(`{}`)
	inv.ClientContext = `{"custom":`
	if o := p.send(inv); o.ErrorType == "" {
		t.Errorf("a broken client context was taken: %s", o.Payload)
	}
}

const isoTime = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`

func testTextLog(t *testing.T, l language) {
	p := start(t, l, l.handler("log"))
	p.value(`{}`)
	p.idle()
	id := regexp.QuoteMeta(string(testID))
	want := map[string]string{
		"python": `^loading é\nplain\n\[WARNING\]\t` + isoTime + `\t` + id + `\twarned é\rsecond\n\[ERROR\]\t` + isoTime + `\t` + id + `\tcaught\rTraceback \(most recent call last\):\r  File "[^"]*function.py", line \d+, in log\r.*ValueError: inner\n$`,
		"nodejs": `^` + isoTime + `\tundefined\tINFO\tloading é\nplain\n` + isoTime + `\t` + id + `\tWARN\twarned é\rsecond\n` + isoTime + `\t` + id + `\tERROR\tcaught Error: inner\r    at [^\n]*\n` + isoTime + `\t` + id + `\tINFO\t{ object: 1 }\n$`,
		"ruby":   `^loading é\nplain\nW, \[[^\]]* #\d+\]  WARN ` + id + ` -- : warned é\rsecond\nE, \[[^\]]* #\d+\] ERROR ` + id + ` -- : inner \(ArgumentError\)\r[^\n]*\n$`,
		"java":   `^loading é\nplain\nwarned é\rsecond\n$`,
	}[l.name]
	// In the table \r is short for what stands for a newline inside an event.
	log := strings.ReplaceAll(p.log.String(), runtimeapi.LogLineJoin, "\r")
	if !regexp.MustCompile(want).MatchString(log) {
		t.Errorf("%q\ndoes not match\n%s", log, want)
	}
}

func testJSONLog(t *testing.T, l language) {
	p := start(t, l, l.handler("log"), "AWS_LAMBDA_LOG_FORMAT=JSON", "AWS_LAMBDA_LOG_LEVEL=INFO")
	p.value(`{}`)
	p.idle()
	var warned map[string]any
	for _, line := range strings.Split(strings.TrimSuffix(p.log.String(), "\n"), "\n") {
		if strings.HasPrefix(line, "{") {
			var entry map[string]any
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if entry["message"] == "warned é\nsecond" {
				warned = entry
			}
		}
	}
	if warned == nil {
		t.Fatalf("no such entry in %q", p.log)
	}
	idName, level := "requestId", map[string]any{"python": "WARNING", "nodejs": "WARN", "ruby": "WARN"}[l.name]
	if l.name == "java" {
		idName = "AWSRequestId" // as on AWS; and no level, since log(String) has none
	}
	if warned[idName] != string(testID) || warned["level"] != level {
		t.Errorf("%v", warned)
	}
	if stamp, _ := warned["timestamp"].(string); !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`).MatchString(stamp) {
		t.Error("timestamp", stamp)
	}
	q := start(t, l, l.handler("fail"), "AWS_LAMBDA_LOG_FORMAT=JSON")
	q.failure(`{}`)
	q.idle()
	if log := q.log.String(); !strings.Contains(log, `some_error_msg`) || !strings.Contains(log, `"level":"ERROR"`) && !strings.Contains(log, `"level": "ERROR"`) {
		t.Errorf("%q", log)
	}
}
