package container

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWriteInit(t *testing.T) {
	dir := t.TempDir()
	first, err := writeInit(dir, []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := writeInit(dir, []byte("one"))
	if err != nil || again != first {
		t.Errorf("%s, %v", again, err)
	}
	other, err := writeInit(dir, []byte("two"))
	if err != nil || other == first {
		t.Errorf("%s, %v", other, err)
	}
	info, err := os.Stat(first)
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info, err)
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 2 {
		t.Errorf("%v, %v", list, err)
	}
}

func TestFindInit(t *testing.T) {
	if _, err := embedded.ReadFile("initbin/lambdad-init"); err == nil {
		t.Skip("process 1 is embedded")
	}
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	if _, err := FindInit(t.TempDir()); err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("nowhere: %v", err)
	}
	path := filepath.Join(bin, "lambdad-init")
	if err := os.WriteFile(path, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := FindInit(t.TempDir()); err != nil || got != path {
		t.Errorf("%s, %v", got, err)
	}
}
