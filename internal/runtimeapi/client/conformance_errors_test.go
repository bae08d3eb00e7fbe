package client

import (
	"regexp"
	"strings"
	"testing"
)

// ends says that the process ends behind an error.
const ends = "; ends"

// failures are the errors of a handler, as "type: message": what AWS's published client of the language
// tells. A language without an entry has no such thing.
var failures = []struct {
	name, handler, event string
	want                 map[string]string
}{
	{"without a message", "bare", `{}`, map[string]string{
		"python": "ValueError: ",
		"nodejs": "RangeError: ",
		"ruby":   "Function<ArgumentError>: ArgumentError",
		"java":   "java.lang.IllegalArgumentException: java.lang.IllegalArgumentException",
	}},
	{"a class of its own, unicode", "named", `{}`, map[string]string{
		"python": "Named: gebrochen 💥 \u2028 é",
		"nodejs": "Named: gebrochen 💥 \u2028 é",
		"ruby":   "Function<Named>: gebrochen 💥 \u2028 é",
		"java":   "example.Function$Named: gebrochen 💥 \u2028 é",
	}},
	{"with a cause", "chained", `{}`, map[string]string{ // java's shows it, TestJava
		"python": "Named: the outer",
		"nodejs": "Named: the outer",
		"ruby":   "Function<Named>: the outer",
		"java":   "example.Function$Named: the outer",
	}},
	{"stack overflow", "overflow", `{}`, map[string]string{
		"python": "RecursionError: maximum recursion depth exceeded",
		"nodejs": "RangeError: Maximum call stack size exceeded",
		"ruby":   "Function<SystemStackError>: stack level too deep" + ends,
		"java":   "java.lang.StackOverflowError: java.lang.StackOverflowError" + ends,
	}},
	{"arguments that do not fit", "arity", `{}`, map[string]string{
		"python": "TypeError: arity() takes 1 positional argument but 2 were given",
		"ruby":   "Function<ArgumentError>: unknown keyword: :context",
	}},
	{"an answer that cannot be serialised", "unserialisable", `{}`, map[string]string{
		"python": "Runtime.MarshalError: Unable to marshal response: Object of type object is not JSON serializable",
		"nodejs": "Error: Unable to stringify response body",
		"ruby":   "Function<JSON::GeneratorError>: ",
		"java":   "java.lang.RuntimeException: An error occurred during JSON serialization of response",
	}},
	{"a coroutine", "a_coroutine", `{}`, map[string]string{
		"python": "Runtime.MarshalError: Unable to marshal response: Object of type coroutine is not JSON serializable",
	}},
	{"no function", "not_callable", `{}`, map[string]string{
		"python": "TypeError: 'int' object is not callable",
	}},
	{"a rejection with nothing", "rejectedWithNothing", `{}`, map[string]string{
		"nodejs": "undefined: undefined",
	}},
	{"exit by an exception", "leave_politely", `3`, map[string]string{
		"ruby": "Function<SystemExit>: exit" + ends,
	}},
	{"a name that does not exist", "missing_name", `{}`, map[string]string{
		"ruby": "Function<NameError>: undefined local variable or method `does_not_exist' for main" + ends,
	}},
}

// formless are those that another form of handler cannot have: a callback that is called with nothing has succeeded, and
// who streams makes the JSON.
var formless = map[string]bool{"a rejection with nothing": true, "an answer that cannot be serialised": true}

func testFailures(t *testing.T, l language) {
	for _, f := range failures {
		want, ok := f.want[l.name]
		if !ok || formless[f.name] && l.variant != "" {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			want, dies := strings.CutSuffix(want, ends)
			p := start(t, l, l.handler(f.handler))
			rounds := 2 // the environment lives on
			if dies {
				rounds = 1
			}
			for range rounds {
				e := p.failure(f.event)
				if got := e.Type + ": " + strings.ReplaceAll(e.Message, "'does_not", "`does_not"); !strings.HasPrefix(got, want) || strings.HasSuffix(want, ": ") && l.name != "ruby" && got != want {
					t.Errorf("%q, want %q", got, want)
				}
				// Nothing of the client's own source is in it.
				if strings.Contains(e.Message, "__send__") || strings.Contains(e.Message, "^") {
					t.Errorf("message %q", e.Message)
				}
			}
			if dies {
				<-p.ended
				if p.cmd.ProcessState.ExitCode() == 0 {
					t.Error("the process ended with status 0")
				}
				return
			}
			p.idle()
			if log := p.log.String(); strings.Contains(log, "at lambdad.runtime.") {
				t.Errorf("the log has frames of the client: %q", log)
			}
			if log := p.log.String(); !strings.Contains(log, strings.SplitN(want, ": ", 2)[1][:min(9, len(strings.SplitN(want, ": ", 2)[1]))]) {
				t.Errorf("not in the log: %q", log)
			}
		})
	}
}

// Handlers that do not exist: where the fault is told differs, and what Java says of them.
func testHandlerNames(t *testing.T, l language) {
	for _, n := range []struct {
		handler, want string
		language      string
		atInvoke      bool
	}{
		{"function.a.b.absent", "Runtime.HandlerNotFound: function.a.b.absent is undefined or not exported", "nodejs", false},
		{"", "Runtime.MalformedHandlerName: Bad handler", "nodejs", false},
		{"", "Runtime.MalformedHandlerName: Bad handler '': not enough values to unpack (expected 2, got 1)", "python", false},
		{".h", "ValueError: Empty module name", "python", false},
		{"too.many.parts.h", "Init<ArgumentError>: ", "ruby", false},
		{"function.Outer::Absent.handle", "Function<NameError>: uninitialized constant Outer::Absent", "ruby", true},
		{"function.Outer::Inner.absent", "Function<NoMethodError>: undefined method `absent' for Outer::Inner:Class", "ruby", true},
		{"function.absent", "Function<NoMethodError>: undefined method `absent' for main:Object", "ruby", true},
		{"example.Absent::h", "java.lang.ClassNotFoundException: Class not found: example.Absent", "java", true},
		{"example.Function::absent", ": No public method named absent with appropriate method signature found on class example.Function", "java", true},
		{"example.Function", ": Class does not implement an appropriate handler interface: example.Function", "java", true},
		{"example.Function::", ": Invalid handler: `example.Function::'", "java", true},
		{"example.Function$Inner", "java.lang.Exception: Class example.Function$Inner cannot be instantiated because it is a non-static inner class", "java", true},
		{"example.Function$Hidden", "java.lang.Exception: Class example.Function$Hidden has no public zero-argument constructor", "java", true},
		{"example.Static::h", "java.lang.ExceptionInInitializerError: Error loading class example.Static", "java", false},
	} {
		if n.language != l.name {
			continue
		}
		t.Run(n.handler, func(t *testing.T) {
			p := start(t, l, n.handler)
			var e functionError
			if n.atInvoke {
				e = p.failure(`{}`)
			} else {
				e = p.initFailure()
			}
			got := e.Type + ": " + quotes.ReplaceAllString(e.Message, "`$1'")
			// Ruby 3.3 says "an instance of Object" and 3.4 "class Outer::Inner" of the receiver.
			if l.name == "ruby" {
				got, n.want = receiver.ReplaceAllString(got, ""), receiver.ReplaceAllString(n.want, "")
			}
			if got != n.want && !(strings.HasSuffix(n.want, ": ") && strings.HasPrefix(got, n.want)) {
				t.Errorf("%q, want %q", got, n.want)
			}
			if l.name == "java" && len(e.StackTrace)+len(e.members) > len(" errorMessage errorType") {
				t.Errorf("a fault has no trace: %s %q", e.members, e.StackTrace)
			}
		})
	}
}

var (
	quotes   = regexp.MustCompile("['`](absent)'")
	receiver = regexp.MustCompile(` for .*$`)
)
