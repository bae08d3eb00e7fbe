package runtimes

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lambdad/lambdad/internal/aws"
)

// TestSpecsAreTheModels holds the table to AWS's service model.
func TestSpecsAreTheModels(t *testing.T) {
	raw, err := os.ReadFile("../../../models/lambda.json")
	if err != nil {
		t.Fatal(err)
	}
	var model struct {
		Shapes map[string]struct{ Enum []string }
	}
	if err := json.Unmarshal(raw, &model); err != nil {
		t.Fatal(err)
	}
	want := model.Shapes["Runtime"].Enum
	var got []string
	for _, s := range Specs() {
		got = append(got, s.Identifier)
	}
	slices.Sort(got)
	slices.Sort(want)
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("table %q\nmodel %q", got, want)
	}
}

// TestPhases holds the phases to what AWS was recorded to refuse (TestRuntimeValidation) and to offer.
func TestPhases(t *testing.T) {
	for _, id := range []string{"go1.x", "nodejs12.x", "nodejs14.x", "provided", "python3.7", "ruby2.7"} {
		if s, _ := Lookup(id); s.Phase != Refused {
			t.Errorf("%s is not refused", id)
		}
	}
	for _, id := range strings.Fields("nodejs20.x python3.14 provided.al2023 python3.12 python3.13 nodejs24.x nodejs22.x java25 python3.10 python3.11 java21 ruby3.3 ruby3.4 ruby3.2 python3.8 python3.9 java17 nodejs16.x dotnet10 dotnet8 java11 dotnet6 nodejs18.x provided.al2 java8.al2") {
		if s, ok := Lookup(id); !ok || s.Phase == Refused {
			t.Errorf("%s is refused", id)
		}
	}
}

// fake writes programs that answer as an interpreter would, and names this test's own
// binary as their executable.
func fake(t *testing.T, name, answer string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+answer+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

// answer prints what fake interpreters print; each needs an executable of its own.
func answer(t *testing.T, version string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	executable := filepath.Join(t.TempDir(), "interpreter")
	if err := os.Link(self, executable); err != nil {
		raw, err := os.ReadFile(self)
		if err == nil {
			err = os.WriteFile(executable, raw, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf(`echo '{"version":%q,"executable":%q,"prefix":%q,"libraries":[]}'`, version, executable, filepath.Dir(executable))
}

// only is a catalog that finds nothing but the given programs.
func only(t *testing.T, o Options, programs ...string) *Catalog {
	t.Helper()
	o.Dir, o.Search, o.SearchOnly = t.TempDir(), programs, true
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestResolve(t *testing.T) {
	programs := []string{
		fake(t, "python3", answer(t, "3.11.2")),
		fake(t, "python3.13", answer(t, "3.13.5")),
		fake(t, "python3.12", "exit 1"),
		fake(t, "python3.10", "echo nonsense"),
		fake(t, "node", answer(t, "20.1.0")),
		fake(t, "node18", answer(t, "22.0.1")), // its name lies
		fake(t, "ruby", answer(t, "")),         // an unusual build
	}
	tests := []struct {
		identifier, architecture string
		nearest                  bool
		version                  string
		origin                   Origin
		err                      error
		says                     string
	}{
		{identifier: "python3.13", version: "3.13.5", origin: OriginHost},
		{identifier: "python3.11", version: "3.11.2", origin: OriginHost},
		{identifier: "python3.12", err: ErrNoRuntime, says: "lambdad runtime add python3.12"},
		{identifier: "python3.12", err: ErrNoRuntime, says: "--runtimes=nearest"},
		{identifier: "python3.12", nearest: true, version: "3.13.5", origin: OriginNearest, says: "python3.12"},
		{identifier: "python3.8", nearest: true, version: "3.11.2", origin: OriginNearest},
		{identifier: "python3.11", nearest: true, version: "3.11.2", origin: OriginHost},
		{identifier: "nodejs22.x", version: "22.0.1", origin: OriginHost},
		{identifier: "nodejs18.x", err: ErrNoRuntime},
		{identifier: "nodejs24.x", nearest: true, version: "22.0.1", origin: OriginNearest},
		{identifier: "ruby3.3", nearest: true, err: ErrNoRuntime, says: "no ruby 3.3"},
		{identifier: "dotnet8", nearest: true, err: ErrNoRuntime, says: "--image"},
		{identifier: "go1.x", err: ErrNoRuntime},
		{identifier: "provided.al2023", origin: OriginHost},
		{identifier: "provided.al2", origin: OriginHost},
		{identifier: "python9.9", err: ErrUnknown},
		{identifier: "../../etc/passwd", err: ErrUnknown},
		{identifier: "python3.13", architecture: "s390x", err: ErrWrongArchitecture, says: HostArchitecture()},
		{identifier: "python3.13", architecture: "s390x", err: ErrNoRuntime},
	}
	for _, tt := range tests {
		t.Run(tt.identifier, func(t *testing.T) {
			c := only(t, Options{Nearest: tt.nearest}, programs...)
			rt, err := c.Resolve(t.Context(), tt.identifier, orHost(tt.architecture))
			if !errors.Is(err, tt.err) || err != nil && tt.err == nil {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			if rt.Version != tt.version || rt.Origin != tt.origin {
				t.Errorf("got %s %q, want %s %q", rt.Origin, rt.Version, tt.origin, tt.version)
			}
			text := rt.Note
			if err != nil {
				text = err.Error()
			}
			if !strings.Contains(text, tt.says) {
				t.Errorf("%q does not say %q", text, tt.says)
			}
			if err == nil && (rt.Note != "") != (tt.origin == OriginNearest) {
				t.Errorf("note %q", rt.Note)
			}
		})
	}
}

func TestNoHost(t *testing.T) {
	c := only(t, Options{NoHost: true}, fake(t, "python3", answer(t, "3.13.5")))
	for _, id := range []string{"python3.13", "provided.al2023"} {
		if _, err := c.Resolve(t.Context(), id, HostArchitecture()); !errors.Is(err, ErrNoRuntime) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// TestPythonWithSDK: AWS's Python runtimes bring boto3, so an interpreter that has it is nearer
// to them than a newer one.
func TestPythonWithSDK(t *testing.T) {
	c := only(t, Options{}, fake(t, "python3", answer(t, "3.13.5")),
		fake(t, "python3.13", strings.Replace(answer(t, "3.13.1"), "{", `{"sdk":true,`, 1)))
	if rt, err := c.Resolve(t.Context(), "python3.13", HostArchitecture()); err != nil || rt.Version != "3.13.1" {
		t.Errorf("%s, %v", rt.Version, err)
	}
}

// TestUpgrade replaces an interpreter behind the catalog's back.
func TestUpgrade(t *testing.T) {
	first := answer(t, "3.13.1")
	program := fake(t, "python3", first)
	c := only(t, Options{}, program)
	before, err := c.Resolve(t.Context(), "python3.13", HostArchitecture())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(before.Interpreter); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"+answer(t, "3.13.2")+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	after, err := c.Resolve(t.Context(), "python3.13", HostArchitecture())
	if err != nil || after.Version != "3.13.2" || after.VersionID() == before.VersionID() {
		t.Errorf("%+v, %v", after, err)
	}
}

func TestResolveTogether(t *testing.T) {
	log := filepath.Join(t.TempDir(), "runs")
	c := only(t, Options{}, fake(t, "python3", "echo x >>"+log+"; "+answer(t, "3.13.1")))
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := c.Resolve(t.Context(), "python3.13", HostArchitecture()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if raw, err := os.ReadFile(log); err != nil || string(raw) != "x\n" {
		t.Errorf("the interpreter ran %q, %v", raw, err)
	}
}

func TestVersionNames(t *testing.T) {
	tests := []struct{ identifier, version, want string }{
		{"python3.13", "3.13.5", "python:3.13.v5"},
		{"nodejs20.x", "20.11.1", "nodejs:20.v11"},
		{"java17", "17.0.15", "java:17.v15"},
		{"java8.al2", "8.0.402", "java:8.v402"},
		{"ruby3.3", "3.3.8", "ruby:3.3.v8"},
		{"provided.al2023", "", "provided:al2023.v1"},
	}
	for _, tt := range tests {
		rt := Runtime{Identifier: tt.identifier, Version: tt.version}
		if got := rt.VersionName(); got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.identifier, tt.version, got, tt.want)
		}
	}
	rt := Runtime{Identifier: "python3.13", Version: "3.13.5"}
	form := regexp.MustCompile(`^arn:aws:lambda:eu-west-1::runtime:[0-9a-f]{64}$`)
	if arn := rt.VersionARN(aws.Region("eu-west-1")); !form.MatchString(arn) {
		t.Error(arn)
	}
}

func TestParseJava(t *testing.T) {
	tests := []struct{ version, want string }{{"17.0.15", "17.0.15"}, {"1.8.0_402", "8.0.402"}, {"25", "25.0.0"}}
	for _, tt := range tests {
		in, err := parseJava(nil, []byte("Property settings:\n    java.home = /usr/lib/jvm/x\n    java.version = "+tt.version+"\n"))
		if err != nil || in.version != tt.want || in.executable != "/usr/lib/jvm/x/bin/java" {
			t.Errorf("%s: %+v, %v", tt.version, in, err)
		}
	}
	if _, err := parseJava(nil, []byte("Error: could not create the Java Virtual Machine")); err == nil {
		t.Error("no java.home")
	}
}
