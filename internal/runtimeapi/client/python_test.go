package client

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/runtimeapi"
)

func TestPython(t *testing.T) {
	l := byName(t, "python")
	t.Run("nested module", func(t *testing.T) {
		for _, handler := range []string{"nested/inner.h", "nested.inner.h"} {
			if v := start(t, l, handler).value(`{}`); v != `"inner"` {
				t.Error(v)
			}
		}
	})
	t.Run("handler names", func(t *testing.T) {
		for handler, want := range map[string]string{
			"nodot": "Runtime.MalformedHandlerName: Bad handler 'nodot': not enough values to unpack (expected 2, got 1)",
			"sys.h": "Runtime.BuiltInModuleConflict: Cannot use built-in module sys as a handler module",
		} {
			if e := start(t, l, handler).initFailure(); e.Type+": "+e.Message != want {
				t.Errorf("%+v", e)
			}
		}
	})
	t.Run("decimals", func(t *testing.T) {
		if v := start(t, l, "function.numbers").value(`{}`); v != `{"d": 1.10, "n": [12345678901234567890.5]}` {
			t.Error(v)
		}
	})
	t.Run("bytes", func(t *testing.T) {
		o := start(t, l, "function.raw").invoke(`{}`)
		if string(o.Payload) != "\x00\xff" || o.ContentType != "application/unknown" {
			t.Errorf("%+v", o)
		}
	})
	t.Run("not JSON", func(t *testing.T) {
		e := start(t, l, "function.unmarshallable").failure(`{}`)
		if e.Type != "Runtime.MarshalError" || e.Message != "Unable to marshal response: Object of type set is not JSON serializable" {
			t.Errorf("%+v", e)
		}
	})
	t.Run("an object that can be called", func(t *testing.T) {
		if v := start(t, l, "function.an_object").value(`"x"`); v != `"x"` {
			t.Error(v)
		}
	})
	t.Run("not a number", func(t *testing.T) {
		if v := start(t, l, "function.not_a_number").value(`{}`); v != `NaN` { // as the standard library writes it, and AWS passes it on
			t.Error(v)
		}
	})
	t.Run("exit without a status", func(t *testing.T) {
		if code := start(t, l, "function.unbounded").exit(`{}`); code != 0 {
			t.Error(code)
		}
	})
	t.Run("surrogates", func(t *testing.T) {
		if v := start(t, l, "function.surrogate").value(`{}`); v != `"\ud800"` {
			t.Error(v)
		}
	})
	t.Run("error without text", func(t *testing.T) {
		if e := start(t, l, "function.unprintable").failure(`{}`); e.Type != "Unprintable" {
			t.Errorf("%+v", e)
		}
	})
	t.Run("path", func(t *testing.T) {
		v := start(t, l, "function.path").value(`{}`)
		if !strings.Contains(v, `testdata/python", "/opt/python/lib/python`) || !strings.HasSuffix(v, `/site-packages", "/opt/python"]`) {
			t.Error(v)
		}
	})
	t.Run("the error in the log is one line", func(t *testing.T) {
		p := start(t, l, "function.fail")
		p.failure(`{}`)
		p.idle()
		line := strings.ReplaceAll(strings.TrimPrefix(p.log.String(), "loading é\n"), runtimeapi.LogLineJoin, "\r")
		if !strings.HasPrefix(line, "[ERROR] Exception: some_error_msg\rTraceback (most recent call last):\r\u00a0\u00a0File \"") || strings.Count(line, "\n") != 1 {
			t.Errorf("%q", line)
		}
	})
	t.Run("what is imported for nothing", func(t *testing.T) {
		// Each costs milliseconds of every cold start.
		if v := start(t, l, "bare.h").value(`["logging", "http.client", "socket", "ssl", "traceback", "decimal"]`); v != "[]" {
			t.Error(v)
		}
	})
	t.Run("log level", func(t *testing.T) {
		p := start(t, l, "function.log", "AWS_LAMBDA_LOG_LEVEL=ERROR", "AWS_LAMBDA_LOG_FORMAT=JSON")
		p.value(`{}`)
		p.idle()
		// The function sets INFO itself, which counts.
		if !strings.Contains(p.log.String(), "warned") {
			t.Error(p.log)
		}
	})
}

func TestPrecompile(t *testing.T) {
	l := byName(t, "python")
	set, err := Install(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := set.Precompile(t.Context(), l.path); err != nil {
			t.Fatal(err)
		}
	}
	compiled, err := filepath.Glob(filepath.Join(set.Dir, "python", "__pycache__", "*.pyc"))
	sources, _ := filepath.Glob(filepath.Join(set.Dir, "python", "lambdad_*.py"))
	if err != nil || len(compiled) != len(sources) {
		t.Fatal(compiled, err)
	}
	for _, f := range compiled {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o444 {
			t.Error(info, err)
		}
	}
	// And the interpreter takes them.
	out, err := exec.Command(l.path, "-v", "-c", "import sys; sys.path.insert(0, '"+filepath.Join(set.Dir, "python")+"'); import lambdad_runtime").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "code object from '"+filepath.Join(set.Dir, "python", "__pycache__")) {
		t.Errorf("%v: the compiled file was not used", err)
	}
	if err := set.Precompile(t.Context(), filepath.Join(t.TempDir(), "absent")); err == nil {
		t.Error("an absent interpreter compiled")
	}
}
