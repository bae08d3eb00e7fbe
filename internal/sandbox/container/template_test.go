package container

import (
	"context"
	"os"
	"strings"
	"testing"
)

// TestCopyDescriptors: a copy that has started costs no descriptors of the namespaces that it is in.
func TestCopyDescriptors(t *testing.T) {
	x := newBench(t, "")
	template := x.template()
	defer template.Close()
	s, err := template.Park(context.Background(), x.id())
	if err != nil {
		t.Fatal(err)
	}
	if n := openNetworks(t); n != 1 {
		t.Errorf("parked, it holds %d networks, not 1", n)
	}
	defer x.start(s).Close()
	if n := openNetworks(t); n != 0 {
		t.Errorf("started, it holds %d networks", n)
	}
	if err := s.Destroy(context.Background()); err != nil {
		t.Error(err)
	}
}

// openNetworks counts this process's descriptors of network namespaces.
func openNetworks(t *testing.T) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(name, "net:[") {
			n++
		}
	}
	return n
}
