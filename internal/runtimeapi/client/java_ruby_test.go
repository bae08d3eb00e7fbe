package client

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestJava(t *testing.T) {
	l := byName(t, "java")
	t.Run("handlers", func(t *testing.T) {
		for _, tt := range [][3]string{
			{"example.Function$Typed", `{"a":1,"b":2}`, `3`},
			{"example.Function$Typed::handleRequest", `{"a":1}`, `1`},
			{"example.Function$Derived", `{"name":"x"}`, `"Item"`},
			{"example.Function$Streams", `{"a": 1}`, `[{"a": 1}]`},
			{"example.Function$Streams::handleRequest", `1`, `[1]`},
			{"example.Function::reads", `7`, ``},
			{"example.Function::readsWithContext", `7`, ``},
			{"example.Function::writes", `{}`, `1`},
			{"example.Function::writesWithContext", `{}`, `2`},
			{"example.Function::onlyContext", `{}`, `"fn"`},
			{"example.Function::arity", `{}`, `"no arguments"`},
			{"example.Function::order", `{"items":[{"name":"é","count":1,"colour":"RED","unknown":0}],"prices":{"x":1},"paid":true,"at":1700000000000,"codes":[1,2]}`,
				`{"items":[{"name":"é","count":2,"colour":"RED"}],"prices":{"x":1.0},"paid":true,"at":1700000000000,"codes":[1,2]}`},
			{"example.Function::fixed", `{"Records":[{"NAME":"x"}],"data":"aGk=","time":1700000000.5,"id":"11111111-2222-4333-8444-555555555555"}`,
				`{"records":[{"name":"x","count":0,"colour":null}],"data":"aGk=","time":1700000000500,"id":"11111111-2222-4333-8444-555555555555"}`},
		} {
			if v := start(t, l, tt[0]).value(tt[1]); v != tt[2] {
				t.Errorf("%s: %s", tt[0], v)
			}
		}
	})
	t.Run("records", func(t *testing.T) {
		dir := t.TempDir()
		source := filepath.Join(dir, "R.java")
		if err := os.WriteFile(source, []byte(`public class R {
			public record Point(int x, java.util.List<String> names, Inner inner) {}
			public record Inner(boolean ok) {}
			public Point h(Point p) { return new Point(p.x() + 1, p.names(), p.inner()); }
		}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("javac", "-d", dir, source).CombinedOutput(); err != nil {
			t.Skipf("needs javac 16: %s", out)
		}
		r := l
		r.task = func(testing.TB) string { return dir }
		if v := start(t, r, "R::h").value(`{"x":1,"names":["a"],"inner":{"ok":true}}`); v != `{"x":2,"names":["a"],"inner":{"ok":true}}` {
			t.Error(v)
		}
	})
	t.Run("wrong event", func(t *testing.T) {
		p := start(t, l, "example.Function::order")
		e := p.failure(`{"items":"x"}`)
		if e.Type != "java.lang.RuntimeException" || e.Message != "An error occurred during JSON parsing" || e.Cause == nil {
			t.Errorf("%+v", e)
		}
	})
	t.Run("cause", func(t *testing.T) {
		e := start(t, l, "example.Function::fail").failure(`{}`)
		if e.Cause == nil || e.Cause.Message != "the cause" || len(e.StackTrace) != 1 || !strings.HasPrefix(e.StackTrace[0], "example.Function.fail(Function.java:") {
			t.Errorf("%+v", e)
		}
	})
	t.Run("an error of the machine ends the process", func(t *testing.T) {
		p := start(t, l, "example.Function::overflow")
		if e := p.failure(`{}`); e.Type != "java.lang.StackOverflowError" {
			t.Errorf("%s", e.Type)
		}
		<-p.ended
	})
}

func TestRuby(t *testing.T) {
	l := byName(t, "ruby")
	t.Run("class method", func(t *testing.T) {
		if v := start(t, l, "function.Outer::Inner.handle").value(`{}`); v != `"class method"` {
			t.Error(v)
		}
	})
	t.Run("a name that does not exist ends the process", func(t *testing.T) {
		p := start(t, l, "function.missing_name")
		if e := p.failure(`{}`); e.Type != "Function<NameError>" {
			t.Errorf("%+v", e)
		}
		<-p.ended
		if code := p.cmd.ProcessState.ExitCode(); code != 255 {
			t.Error(code)
		}
	})
	t.Run("a stream is sent as it is", func(t *testing.T) {
		if o := start(t, l, "function.stream").invoke(`{}`); string(o.Payload) != "as it is" || o.ContentType != "application/unknown" {
			t.Errorf("%s %s", o.Payload, o.ContentType)
		}
	})
	t.Run("a marshaller of the function's own", func(t *testing.T) {
		if o := start(t, l, "marshalled.handler").invoke(`{"a":1}`); string(o.Payload) != `<application/json {"a":1}>` || o.ContentType != "text/xml" {
			t.Errorf("%s %s", o.Payload, o.ContentType)
		}
	})
	t.Run("malformed handler", func(t *testing.T) {
		if e := start(t, l, "nodot").initFailure(); e.Type != "Init<ArgumentError>" {
			t.Errorf("%+v", e)
		}
	})
}
