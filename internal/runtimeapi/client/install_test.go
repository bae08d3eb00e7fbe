package client

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestInstall(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	sets := make([]Set, 8)
	for i := range sets {
		wg.Go(func() {
			var err error
			if sets[i], err = Install(dir); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, s := range sets {
		if s != sets[0] {
			t.Fatal(sets)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatal(entries, err)
	}
	for file, mode := range map[string]os.FileMode{
		"": 0o755, "python": 0o755, "python/bootstrap.py": 0o444, "nodejs/index.js": 0o444, "ruby/bootstrap.rb": 0o444, "java/lambdad-runtime.jar": 0o444,
	} {
		info, err := os.Stat(filepath.Join(sets[0].Dir, file))
		if err != nil || info.Mode().Perm() != mode {
			t.Error(file, info, err)
		}
	}
	before, _ := os.Stat(sets[0].Dir)
	again, err := Install(dir)
	if err != nil || again != sets[0] {
		t.Fatal(again, err)
	}
	if after, _ := os.Stat(sets[0].Dir); !after.ModTime().Equal(before.ModTime()) {
		t.Error("written again")
	}
	damaged := filepath.Join(sets[0].Dir, "python", "bootstrap.py")
	if err := os.Remove(damaged); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(damaged, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	if again, err := Install(dir); err != nil || again != sets[0] || !intact(again.Dir) {
		t.Fatal("not mended:", again, err)
	}
	blocked := filepath.Join(dir, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Install(blocked); err == nil {
		t.Error("installed into a file")
	}
}

func TestPrograms(t *testing.T) {
	s := Set{Dir: "/d"}
	for _, tt := range []struct {
		request Request
		dir     string
		argv    string
		env     []string
	}{
		{Request{Runtime: "python3.13", Interpreter: "/usr/bin/python3.11"}, "/d/python", "/usr/bin/python3.11 /var/runtime/bootstrap.py",
			[]string{"PYTHONPATH=/var/runtime", "LC_CTYPE=C.UTF-8", "AWS_EXECUTION_ENV=AWS_Lambda_python3.13", "SHLVL=0", "PWD=/var/task"}},
		{Request{Runtime: "nodejs22.x", Interpreter: "/n", MemoryMiB: 128, ExecWrapper: "/opt/wrap"}, "/d/nodejs", "/bin/sh -c " + wrapped + " bootstrap /opt/wrap /n --max-old-space-size=115 /var/runtime/index.js",
			[]string{"NODE_PATH=/opt/nodejs/node22/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task"}},
		{Request{Runtime: "java21", Interpreter: "/j", MemoryMiB: 512}, "/d/java",
			"/j -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -Dfile.encoding=UTF-8 -Dsun.jnu.encoding=UTF-8 -Duser.language=en -Duser.country=US " +
				"--add-opens=java.base/java.lang=ALL-UNNAMED --add-opens=java.base/java.util=ALL-UNNAMED --add-opens=java.base/java.util.concurrent=ALL-UNNAMED " +
				"-Dorg.crac.Core.Compat=com.amazonaws.services.lambda.crac -Xmx384m -cp /var/runtime/lambdad-runtime.jar:/var/task:/var/task/lib/*:/opt/java/lib/* lambdad.runtime.Main",
			[]string{"AWS_EXECUTION_ENV=AWS_Lambda_java21", "LC_ALL=C.UTF-8"}},
		{Request{Runtime: "ruby3.3", Interpreter: "/r"}, "/d/ruby", "/r /var/runtime/bootstrap.rb",
			[]string{"GEM_HOME=/var/runtime", "GEM_PATH=/var/task/vendor/bundle/ruby/3.3.0:/opt/ruby/gems/3.3.0:/var/runtime:/var/runtime/ruby/3.3.0"}},
	} {
		p, err := s.For(tt.request)
		if err != nil {
			t.Fatal(err)
		}
		if p.Dir != tt.dir || strings.Join(p.Argv, " ") != tt.argv {
			t.Errorf("%+v", p)
		}
		for _, e := range tt.env {
			if !slices.Contains(p.Env, e) {
				t.Errorf("%s: no %s in %q", tt.request.Runtime, e, p.Env)
			}
		}
	}
	for _, runtime := range []string{"provided.al2023", "dotnet8", "go1.x", "", "3"} {
		if _, err := s.For(Request{Runtime: runtime}); !errors.Is(err, ErrNoClient) {
			t.Error(runtime, err)
		}
	}
}
