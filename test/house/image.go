package house

import (
	"archive/tar"
	"bytes"
	"io"
	"log"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// imageLayer holds files, of which those with content "" are whiteouts.
func imageLayer(t testing.TB, files map[string]string) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(len(files[name]))}); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, files[name])
	}
	w.Close()
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// ImageClient is the program imageclient, which needs nothing of where it runs.
func ImageClient(t testing.TB) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "imageclient")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/lambdad/lambdad/test/house/imageclient")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// FunctionImages are two images with AWS's layout, which share all but their last layer.
func FunctionImages(t testing.TB) (one, two v1.Image) {
	t.Helper()
	content := ImageClient(t)
	base := imageLayer(t, map[string]string{
		"lambda-entrypoint": content, "var/runtime/bootstrap": content, "gone": "seen", "opt/file": "in opt", "work/file": "x",
	})
	of := func(version string) v1.Image {
		image, err := mutate.AppendLayers(empty.Image, base, imageLayer(t, map[string]string{".wh.gone": "", "var/task/file": "in task", "version": version}))
		if err != nil {
			t.Fatal(err)
		}
		config, _ := image.ConfigFile()
		config = config.DeepCopy()
		config.OS, config.Architecture = "linux", runtime.GOARCH
		config.Config = v1.Config{
			Entrypoint: []string{"/lambda-entrypoint"}, Cmd: []string{"app.handler"}, WorkingDir: "/var/task",
			Env: []string{"PATH=/var/runtime", "FROM_IMAGE=yes", "BOTH=image"},
		}
		if image, err = mutate.ConfigFile(image, config); err != nil {
			t.Fatal(err)
		}
		return image
	}
	return of("1"), of("2")
}

// WithFiles is the image with a layer of executable files over it.
func WithFiles(t testing.TB, image v1.Image, files map[string]string) v1.Image {
	t.Helper()
	over, err := mutate.AppendLayers(image, imageLayer(t, files))
	if err != nil {
		t.Fatal(err)
	}
	return over
}

// Registry is an empty one, without TLS, until the test ends.
func Registry(t testing.TB) (host string) {
	srv := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

// PushImage gives a registry an image.
func PushImage(t testing.TB, uri string, image v1.Image) {
	t.Helper()
	ref, err := name.ParseReference(uri, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
}
