package images

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/lambdad/lambdad/internal/artifact"
)

const x86 = "x86_64"

func file(name, content string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(len(content)), PAXRecords: map[string]string{"TEST.content": content}}
}

func layerOf(t testing.TB, headers ...tar.Header) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		content := h.PAXRecords["TEST.content"]
		h.PAXRecords = nil
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, content)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func imageOf(t testing.TB, arch string, layers ...v1.Layer) v1.Image {
	t.Helper()
	image, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	config.Config = v1.Config{Entrypoint: []string{"/entry"}, Cmd: []string{"one"}, WorkingDir: "/work", Env: []string{"PATH=/tools"}}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	return image
}

func storeOf(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "images"), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// served is a registry that counts the blobs it gave.
func served(t testing.TB) (host string, blobs *int) {
	blobs = new(int)
	h := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			*blobs++
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://"), blobs
}

func push(t testing.TB, uri string, image v1.Image) {
	t.Helper()
	ref, err := name.ParseReference(uri, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
}

func inLayout(t testing.TB, dir string, image v1.Image, options ...layout.Option) {
	t.Helper()
	p, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.AppendImage(image, options...); err != nil {
		t.Fatal(err)
	}
}

func nothingLeft(t *testing.T, s *Store) {
	t.Helper()
	for _, dir := range []string{"staging", "roots"} {
		if left, err := os.ReadDir(s.at(dir)); err != nil || len(left) > 0 {
			t.Errorf("%s holds %v, %v", dir, left, err)
		}
	}
}

func TestRegistryLayersAreShared(t *testing.T) {
	s := storeOf(t, Options{SweepGrace: time.Nanosecond})
	host, blobs := served(t)
	base := layerOf(t, file("tools/shell", "base"), file("gone", "x"))
	first := imageOf(t, "amd64", base, layerOf(t, file("entry", "1"), tar.Header{Typeflag: tar.TypeReg, Name: ".wh.gone"}))
	second := imageOf(t, "amd64", base, layerOf(t, file("entry", "2")))
	push(t, host+"/a:latest", first)
	push(t, host+"/b:latest", second)

	ref, err := s.Resolve(t.Context(), host+"/a:latest", x86)
	if err != nil {
		t.Fatal(err)
	}
	if want := host + "/a@sha256:" + string(ref.Digest); ref.Resolved != want {
		t.Errorf("resolved to %s, want %s", ref.Resolved, want)
	}
	push(t, host+"/a:latest", second) // the tag moves on, the digest stays
	if err := s.Pull(t.Context(), ref, x86); err != nil {
		t.Fatal(err)
	}
	image, err := s.Image(ref.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(filepath.Join(image.Root, "entry")); string(got) != "1" {
		t.Errorf("entry is %q", got)
	}
	if _, err := os.Stat(filepath.Join(image.Root, "gone")); err == nil {
		t.Error("a whiteout hid nothing")
	}
	if at, ok := image.LookPath("shell", "/tools", ""); !ok || at != "/tools/shell" {
		t.Errorf("found %q, %v", at, ok)
	}
	other, err := s.Resolve(t.Context(), host+"/b:latest", x86)
	if err != nil {
		t.Fatal(err)
	}
	before := *blobs
	if err := s.Pull(t.Context(), other, x86); err != nil {
		t.Fatal(err)
	}
	if got := *blobs - before; got != 2 { // its configuration and its own layer
		t.Errorf("%d blobs were fetched for the second image, want 2", got)
	}

	release := s.Hold(ref.Digest)
	time.Sleep(time.Millisecond)
	if n, err := s.Sweep(t.Context(), func(d artifact.Digest) bool { return d == other.Digest }); n != 0 || err != nil {
		t.Errorf("swept %d that is held, %v", n, err)
	}
	release()
	if n, err := s.Sweep(t.Context(), func(d artifact.Digest) bool { return d == other.Digest }); n != 1 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	if left, _ := os.ReadDir(s.at("layers")); len(left) != 2 {
		t.Errorf("%d layers are left, want those of the image that is kept", len(left))
	}
}

func TestLocalForms(t *testing.T) {
	folder := t.TempDir()
	s := storeOf(t, Options{Folder: folder})
	image := imageOf(t, "amd64", layerOf(t, file("entry", "1")))
	inLayout(t, filepath.Join(folder, "layout"), image, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "v1"}))
	tag, _ := name.NewTag("test:latest")
	if err := tarball.WriteToFile(filepath.Join(folder, "image.tar"), tag, image); err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	inLayout(t, filepath.Join(outside, "layout"), image)
	if err := os.Symlink(outside, filepath.Join(folder, "link")); err != nil {
		t.Fatal(err)
	}
	for _, uri := range []string{"oci:" + folder + "/layout", "oci:" + folder + "/layout:v1", "docker-archive:" + folder + "/image.tar"} {
		ref, err := s.Resolve(t.Context(), uri, x86)
		if err != nil {
			t.Fatalf("%s: %v", uri, err)
		}
		if err := s.Pull(t.Context(), ref, x86); err != nil {
			t.Fatalf("%s: %v", uri, err)
		}
		got, err := s.Image(ref.Digest)
		if err != nil || got.WorkingDir != "/work" || got.EntryPoint[0] != "/entry" {
			t.Errorf("%s: %+v, %v", uri, got, err)
		}
	}
	for uri, want := range map[string]error{
		"oci:" + folder + "/layout:v2":               ErrManifest,
		"oci:" + outside + "/layout":                 ErrNotFound,
		"oci:" + folder + "/link/layout":             ErrNotFound,
		"oci:" + folder + "/../etc":                  ErrNotFound,
		"oci:relative":                               ErrNotFound,
		"docker-archive:/etc/passwd":                 ErrNotFound,
		"docker-archive:" + folder + "/layout":       ErrNotFound,
		"127.0.0.1:1/nothing:latest":                 ErrNotFound,
		"UPPER CASE":                                 ErrReference,
		"oci:" + folder + strings.Repeat("/x", 1500): ErrReference,
	} {
		if _, err := s.Resolve(t.Context(), uri, x86); !errors.Is(err, want) {
			t.Errorf("%.60s: %v, want %v", uri, err, want)
		}
	}
	if _, err := storeOf(t, Options{}).Resolve(t.Context(), "oci:"+folder+"/layout", x86); !errors.Is(err, ErrNotFound) {
		t.Errorf("without a folder: %v", err)
	}
}

func TestHostileImages(t *testing.T) {
	big := make([]tar.Header, 40)
	for i := range big {
		big[i] = file("big"+string(rune('a'+i)), strings.Repeat("x", 1000))
	}
	for _, tt := range []struct {
		name  string
		want  error
		layer []tar.Header
	}{
		{"path escape", artifact.ErrUnsafe, []tar.Header{file("../../escape", "x")}},
		{"hard link out", artifact.ErrUnsafe, []tar.Header{{Typeflag: tar.TypeLink, Name: "a", Linkname: "../../../etc/passwd"}}},
		{"hard link to an absolute path of the host", artifact.ErrUnsafe, []tar.Header{{Typeflag: tar.TypeLink, Name: "a", Linkname: "/etc/passwd"}}},
		{"bomb", artifact.ErrTooLarge, big},
		{"a link in place of /var", artifact.ErrUnsafe, []tar.Header{{Typeflag: tar.TypeSymlink, Name: "var", Linkname: "/etc"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folder := t.TempDir()
			s := storeOf(t, Options{Folder: folder, BytesMax: 8 << 10})
			inLayout(t, filepath.Join(folder, "layout"), imageOf(t, "amd64", layerOf(t, tt.layer...)))
			ref, err := s.Resolve(t.Context(), "oci:"+folder+"/layout", x86)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Pull(t.Context(), ref, x86); !errors.Is(err, tt.want) {
				t.Errorf("pulled with %v, want %v", err, tt.want)
			}
			nothingLeft(t, s)
		})
	}
}

func TestWhatIsHarmlessIsMadeSo(t *testing.T) {
	folder := t.TempDir()
	s := storeOf(t, Options{Folder: folder})
	setuid := file("bin/su", "x")
	setuid.Mode = 0o4755
	inLayout(t, filepath.Join(folder, "layout"), imageOf(t, "amd64", layerOf(t, setuid,
		tar.Header{Typeflag: tar.TypeChar, Name: "dev/mem", Devmajor: 1, Devminor: 1, Mode: 0o666},
		tar.Header{Typeflag: tar.TypeSymlink, Name: "var/task", Linkname: "/etc"},
		tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/sh", Linkname: "/etc/shells"},
	)))
	ref, err := s.Resolve(t.Context(), "oci:"+folder+"/layout", x86)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Pull(t.Context(), ref, x86); err != nil {
		t.Fatal(err)
	}
	image, err := s.Image(ref.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(image.Root, "bin/su")); err != nil || info.Mode() != 0o755 {
		t.Errorf("su is %v, %v", info.Mode(), err)
	}
	if _, err := os.Lstat(filepath.Join(image.Root, "dev/mem")); err == nil {
		t.Error("a device was made")
	}
	if info, err := os.Lstat(filepath.Join(image.Root, "var/task")); err != nil || !info.IsDir() {
		t.Errorf("what is mounted over is %v, %v: no directory", info.Mode(), err)
	}
	if at, ok := image.LookPath("sh", "/bin", ""); ok {
		t.Errorf("found %s, a link to a file of the host", at)
	}
}

func TestLyingRegistry(t *testing.T) {
	s := storeOf(t, Options{})
	layer := layerOf(t, file("entry", strings.Repeat("long", 1000)))
	host, _ := served(t)
	push(t, host+"/a:latest", imageOf(t, "amd64", layer))
	digest, _ := layer.Digest()
	for name, body := range map[string]string{"other bytes": "not the layer", "too many": strings.Repeat("x", 1<<20), "none": ""} {
		t.Run(name, func(t *testing.T) {
			liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, digest.String()) {
					io.WriteString(w, body)
					return
				}
				res, err := http.Get("http://" + host + r.URL.Path)
				if err != nil {
					return
				}
				defer res.Body.Close()
				for _, h := range []string{"Content-Type", "Docker-Content-Digest"} {
					w.Header().Set(h, res.Header.Get(h))
				}
				w.WriteHeader(res.StatusCode)
				io.Copy(w, res.Body)
			}))
			defer liar.Close()
			ref, err := s.Resolve(t.Context(), strings.TrimPrefix(liar.URL, "http://")+"/a:latest", x86)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Pull(t.Context(), ref, x86); err == nil {
				t.Error("pulled what has another digest")
			}
			nothingLeft(t, s)
		})
	}
}

func TestArchitecture(t *testing.T) {
	s := storeOf(t, Options{})
	host, _ := served(t)
	push(t, host+"/a:latest", imageOf(t, "arm64", layerOf(t, file("entry", "1"))))
	ref, err := s.Resolve(t.Context(), host+"/a:latest", x86)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Pull(t.Context(), ref, x86); !errors.Is(err, ErrArchitecture) {
		t.Errorf("pulled with %v", err)
	}
	// Of several, the function's.
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: imageOf(t, "arm64", layerOf(t, file("entry", "arm"))), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}},
		mutate.IndexAddendum{Add: imageOf(t, "amd64", layerOf(t, file("entry", "amd"))), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}})
	tag, _ := name.ParseReference(host+"/both:latest", name.Insecure)
	if err := remote.WriteIndex(tag, index); err != nil {
		t.Fatal(err)
	}
	if ref, err = s.Resolve(t.Context(), host+"/both:latest", x86); err != nil {
		t.Fatal(err)
	}
	if err := s.Pull(t.Context(), ref, x86); err != nil {
		t.Fatal(err)
	}
	image, _ := s.Image(ref.Digest)
	if got, _ := os.ReadFile(filepath.Join(image.Root, "entry")); string(got) != "amd" {
		t.Errorf("got the image with %q", got)
	}
}

func FuzzReference(f *testing.F) {
	for _, seed := range []string{"a:b", "oci:/x:y", "docker-archive:/x", "127.0.0.1:5000/a@sha256:00", "[::1]:5/x"} {
		f.Add(seed)
	}
	s := &Store{folder: f.TempDir()}
	f.Fuzz(func(t *testing.T, uri string) {
		src, err := s.parse(uri)
		if err == nil && src.layout == "" && src.archive == "" && src.reference == nil {
			t.Errorf("%q leads nowhere", uri)
		}
	})
}
