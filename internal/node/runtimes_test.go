package node

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/lambdad/lambdad/internal/artifact/runtimes"
	"github.com/lambdad/lambdad/internal/runtimeapi/client"
)

func TestImagesOwnClient(t *testing.T) {
	base := t.TempDir()
	if _, err := imagesOwnClient(base); !errors.Is(err, client.ErrNoClient) {
		t.Errorf("an image without a client: %v", err)
	}
	dir := filepath.Join(base, "var", "runtime")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bootstrap"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if argv, err := imagesOwnClient(base); err != nil || len(argv) != 1 || argv[0] != "/var/runtime/bootstrap" {
		t.Errorf("an image with a client: %v, %v", argv, err)
	}
}

func TestRootfsKey(t *testing.T) {
	mount := func(source string) []runtimes.Mount { return []runtimes.Mount{{Source: source, Target: "/usr"}} }
	same := rootfsKey(runtimes.Rootfs{Mounts: mount("/usr")})
	if same != rootfsKey(runtimes.Rootfs{Mounts: mount("/usr")}) {
		t.Error("equal root filesystems have different keys")
	}
	for _, other := range []runtimes.Rootfs{{}, {Base: "/usr"}, {Mounts: mount("/opt/usr")}, {Base: "/x", Mounts: mount("/usr")}} {
		if same == rootfsKey(other) {
			t.Errorf("%+v has the key of another", other)
		}
	}
}
