package client

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestHasClassData(t *testing.T) {
	for options, want := range map[string]bool{
		"": false, "-Xmx64m -Dname=value": false, "-XX:AOTCache=/opt/function.aot": true, "-Dx=y -XX:SharedArchiveFile=/opt/f.jsa": true, "-Xshare:off": true,
	} {
		if got := HasClassData(options); got != want {
			t.Errorf("%q: %v", options, got)
		}
	}
}

// TestArchiveClasses makes an archive with each Java of this host, once, and finds the client's classes in it.
func TestArchiveClasses(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	javas, _ := filepath.Glob("/usr/lib/jvm/*/bin/java")
	found := false
	for _, java := range javas {
		for _, version := range []string{"17", "21", "25"} {
			out, err := exec.Command(java, "-version").CombinedOutput()
			if err != nil || !strings.Contains(string(out), `version "`+version+`.`) {
				continue
			}
			found = true
			t.Run(java, func(t *testing.T) {
				set, err := Install(t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				data, err := set.ArchiveClasses(t.Context(), "java"+version, version+".0.1", java)
				if err != nil {
					t.Fatal(err)
				}
				archive := filepath.Join(set.Dir, "java", data.name)
				first, err := os.Stat(archive)
				if err != nil || first.Mode().Perm() != 0o444 {
					t.Fatalf("%v: %v", first, err)
				}
				if again, err := set.ArchiveClasses(t.Context(), "java"+version, version+".0.1", java); err != nil || again != data {
					t.Errorf("again: %+v: %v", again, err)
				}
				if second, err := os.Stat(archive); err != nil || !second.ModTime().Equal(first.ModTime()) {
					t.Errorf("it was made twice: %v", err)
				}
				content, err := os.ReadFile(archive)
				if err != nil || !strings.Contains(string(content), "lambdad/runtime/Invocation") {
					t.Errorf("the archive has no class of the client's: %v", err)
				}
				left, _ := filepath.Glob(filepath.Join(set.Dir, "java", ".*"))
				if len(left) > 0 {
					t.Errorf("left behind: %q", left)
				}
			})
		}
	}
	if !found {
		t.Skip("needs a Java from 17 on")
	}
	for runtime, version := range map[string]string{"java11": "11.0.1", "java8.al2": "8.0.402", "python3.12": "30.1", "java17": ""} {
		if data, err := (Set{Dir: t.TempDir()}).ArchiveClasses(t.Context(), runtime, version, "/bin/true"); err == nil {
			t.Errorf("%s: %+v", runtime, data)
		}
	}
	// One that cannot is not asked at every cold start.
	set, err := Install(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if data, err := set.ArchiveClasses(t.Context(), "java17", "17.0.1", "/bin/false"); err == nil {
			t.Errorf("/bin/false made %+v", data)
		}
	}
}
