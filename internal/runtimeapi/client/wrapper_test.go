package client

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A wrapper is started as AWS's runtimes start it, and what is wrong with one is told in the same way.
func TestWrapper(t *testing.T) {
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("needs /bin/sh")
	}
	dir := t.TempDir()
	for _, tt := range []struct {
		name, content string
		mode          os.FileMode
		output        string
		code          int
	}{
		{"missing", "", 0, "missing: does not exist\n", 127},
		{"plain", "#!/bin/sh\n", 0o644, "plain: is not an executable\n", 126},
		{"good", "#!/bin/sh\necho \"$@\"\nexit 3\n", 0o755, "/r /t/bootstrap.rb\n", 3},
		{"unnamed", "echo \"$@\"\n", 0o755, "/r /t/bootstrap.rb\n", 0},
		{"with space", "#!/bin/sh\necho \"$@\"\n", 0o755, "/r /t/bootstrap.rb\n", 0},
	} {
		path := filepath.Join(dir, tt.name)
		if tt.mode != 0 {
			if err := os.WriteFile(path, []byte(tt.content), tt.mode); err != nil {
				t.Fatal(err)
			}
		}
		p, err := Set{Dir: "/d"}.For(Request{Runtime: "ruby3.3", Interpreter: "/r", MountedAt: "/t", ExecWrapper: path})
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(p.Argv[0], p.Argv[1:]...).Output()
		code := 0
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			code = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		want := tt.output
		if tt.code >= 126 {
			want = filepath.Join(dir, want)
		}
		if string(out) != want || code != tt.code {
			t.Errorf("%s: %q and %d, want %q and %d", tt.name, out, code, want, tt.code)
		}
	}
}
