package container

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
