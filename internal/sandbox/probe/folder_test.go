package probe_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/lambdad/lambdad/internal/sandbox/probe"
)

func TestDataFolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	// The file systems of tests have id-mapped mounts (ext4, tmpfs and overlay of new kernels);
	// /proc never has.
	if f := probe.DataFolder(t.Context(), filepath.Join(t.TempDir(), "not", "made", "yet")); f.Status != probe.OK {
		t.Logf("this host's temporary folder: %+v", f)
	}
	if f := probe.DataFolder(t.Context(), "/proc"); f.Status != probe.Degraded || f.Remedy == "" {
		t.Errorf("/proc: %+v, want degraded and what to do", f)
	}
}
