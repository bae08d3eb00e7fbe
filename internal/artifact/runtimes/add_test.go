package runtimes

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/lambdad/lambdad/internal/artifact"
)

func add(t *testing.T, c *Catalog, o AddOptions) Installed {
	t.Helper()
	in, err := c.Add(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func TestAddFromLayout(t *testing.T) {
	c := only(t, Options{})
	other := "arm64"
	if HostArchitecture() == other {
		other = "x86_64"
	}
	env := []string{"PATH=/usr/local/bin:/usr/bin", "LD_LIBRARY_PATH=/usr/local/lib", "SECRET=x"}
	dir := layoutOf(t, imageOf(t, other, nil, layerOf(t)), imageOf(t, HostArchitecture(), env, layerOf(t, pythonLayer("3.13", "3.13.7")...)))
	var stages []string
	in, err := c.Add(t.Context(), AddOptions{Identifier: "python3.13", Layout: dir}, func(stage string, done, total int64) { stages = append(stages, stage) })
	if err != nil {
		t.Fatal(err)
	}
	if in.Version != "3.13.7" || in.Interpreter != "/usr/local/bin/python3.13" || !strings.HasPrefix(in.Digest, "sha256:") || len(stages) == 0 {
		t.Errorf("%+v, stages %q", in, stages)
	}
	rt, err := c.Resolve(t.Context(), "python3.13", HostArchitecture())
	if err != nil {
		t.Fatal(err)
	}
	if rt.Origin != OriginInstalled || rt.Interpreter != in.Interpreter || rt.Version != "3.13.7" || strings.Join(rt.Env, " ") != "LD_LIBRARY_PATH=/usr/local/lib" {
		t.Errorf("%+v", rt)
	}
	for _, place := range []string{"var/task", "var/runtime", "opt", "tmp", "proc", "dev", "etc/resolv.conf"} {
		if _, err := os.Lstat(filepath.Join(rt.Rootfs.Base, place)); err != nil {
			t.Error(err)
		}
	}
	info, err := os.Stat(filepath.Join(rt.Rootfs.Base, "usr/local/lib/python3.13/os.py"))
	if err != nil || !info.ModTime().Equal(layerTime) || info.Mode() != 0o644 {
		t.Errorf("%v %v", info, err)
	}
	list, err := c.List()
	if err != nil || len(list) != 1 || list[0].Tree != in.Tree {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestAddFromRegistry(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	image := imageOf(t, HostArchitecture(), nil, layerOf(t, pythonLayer("3.12", "3.12.3")...), layerOf(t, entry{name: "etc/more", body: "x"}))
	reference := strings.TrimPrefix(server.URL, "http://") + "/languages/python:3.12"
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	c := only(t, Options{})
	if in := add(t, c, AddOptions{Identifier: "python3.12", Image: reference}); in.Version != "3.12.3" {
		t.Errorf("%+v", in)
	}
	for _, bad := range []string{reference + "nope", "not a reference!", strings.TrimPrefix(server.URL, "http://") + "/nothing"} {
		if _, err := c.Add(t.Context(), AddOptions{Identifier: "python3.12", Image: bad}, nil); err == nil {
			t.Errorf("%q was added", bad)
		}
	}
	if rt, err := c.Resolve(t.Context(), "python3.12", HostArchitecture()); err != nil || rt.Version != "3.12.3" {
		t.Errorf("after the failures: %+v, %v", rt, err)
	}
}

func TestAddReplacesAndRemoves(t *testing.T) {
	c := only(t, Options{})
	layer := func(full string) AddOptions {
		return AddOptions{Identifier: "python3.13", Layout: layoutOf(t, imageOf(t, HostArchitecture(), nil, layerOf(t, pythonLayer("3.13", full)...)))}
	}
	server, err := Open(Options{Dir: c.dir, SearchOnly: true}) // another process's view
	if err != nil {
		t.Fatal(err)
	}
	add(t, c, layer("3.13.1"))
	old, err := server.Resolve(t.Context(), "python3.13", HostArchitecture())
	if err != nil {
		t.Fatal(err)
	}
	add(t, c, layer("3.13.2"))
	now, err := server.Resolve(t.Context(), "python3.13", HostArchitecture())
	if err != nil || now.Version != "3.13.2" || now.VersionID() == old.VersionID() {
		t.Errorf("%+v, %v", now, err)
	}
	if _, err := os.Stat(old.Rootfs.Base); err != nil {
		t.Errorf("a tree in use was deleted: %v", err)
	}
	if err := c.Remove("python3.13", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(now.Rootfs.Base); err != nil {
		t.Errorf("a tree in use was deleted: %v", err)
	}
	if _, err := server.Resolve(t.Context(), "python3.13", HostArchitecture()); !errors.Is(err, ErrNoRuntime) {
		t.Errorf("after removal: %v", err)
	}
	server.Close()
	add(t, c, AddOptions{Identifier: "provided.al2023", Layout: layoutOf(t, imageOf(t, HostArchitecture(), nil, layerOf(t, entry{name: "bin/sh", body: "x"})))})
	entries, err := os.ReadDir(filepath.Join(c.dir, "trees"))
	if err != nil || len(entries) != 1 {
		t.Errorf("%d trees, %v", len(entries), err)
	}
	if err := c.Remove("python3.13", ""); !errors.Is(err, ErrNoRuntime) {
		t.Errorf("removed twice: %v", err)
	}
}

func TestEarlierVersions(t *testing.T) {
	c := only(t, Options{})
	layer := func(full string) AddOptions {
		return AddOptions{Identifier: "python3.13", Layout: layoutOf(t, imageOf(t, HostArchitecture(), nil, layerOf(t, pythonLayer("3.13", full)...)))}
	}
	var ids []string
	for i := range earlierMax + 2 {
		add(t, c, layer(fmt.Sprintf("3.13.%d", i)))
		now, err := c.Resolve(t.Context(), "python3.13", HostArchitecture())
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, now.VersionID())
		if id := c.VersionID(must(c.List())[0]); id != now.VersionID() {
			t.Error("the list tells another id")
		}
	}
	another, err := Open(Options{Dir: c.dir, SearchOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		rt, err := another.ResolveVersion(t.Context(), "python3.13", HostArchitecture(), id)
		if i == 0 { // one too many
			if !errors.Is(err, ErrNoRuntime) {
				t.Errorf("the oldest: %+v, %v", rt, err)
			}
			continue
		}
		if err != nil || rt.VersionID() != id || rt.Version != fmt.Sprintf("3.13.%d", i) {
			t.Errorf("%d: %+v, %v", i, rt, err)
		}
		if _, err := os.Stat(rt.Rootfs.Base); err != nil {
			t.Error(err)
		}
	}
	another.Close()
	if _, err := c.ResolveVersion(t.Context(), "python3.12", HostArchitecture(), ids[3]); !errors.Is(err, ErrNoRuntime) {
		t.Error("another runtime's version was taken:", err)
	}
	if n, err := c.RemoveEarlier("python3.13", ""); n != earlierMax || err != nil {
		t.Error(n, err)
	}
	if _, err := c.ResolveVersion(t.Context(), "python3.13", HostArchitecture(), ids[len(ids)-2]); !errors.Is(err, ErrNoRuntime) {
		t.Error(err)
	}
	add(t, c, layer("3.13.99"))
	if err := c.Remove("python3.13", ""); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := c.prune(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(filepath.Join(c.dir, "trees")); err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestAddRefuses(t *testing.T) {
	good := pythonLayer("3.13", "3.13.7")
	with := func(more ...entry) v1.Image {
		return imageOf(t, HostArchitecture(), nil, layerOf(t, append(good[:len(good):len(good)], more...)...))
	}
	lyingDigest := layerOf(t, good...)
	lyingDigest.digestOf = []byte("something else")
	lyingDiff := layerOf(t, good...)
	lyingDiff.diffOf = []byte("something else")
	foreign := layerOf(t, good...)
	foreign.kind = types.OCIRestrictedLayer
	garbage := &testLayer{plain: []byte("garbage"), packed: bytes.Repeat([]byte("garbage"), 200), kind: types.OCILayer}
	otherMachine := elf.EM_AARCH64
	if hostMachine() == otherMachine {
		otherMachine = elf.EM_X86_64
	}
	tests := []struct {
		name  string
		image v1.Image
		want  error
	}{
		{"another version", imageOf(t, HostArchitecture(), nil, layerOf(t, pythonLayer("3.12", "3.12.1")...)), ErrMismatch},
		{"no interpreter", imageOf(t, HostArchitecture(), nil, layerOf(t, entry{name: "hello", body: "x"})), ErrMismatch},
		{"a script called python", imageOf(t, HostArchitecture(), nil, layerOf(t, entry{name: "usr/bin/python3.13", body: "#!/bin/sh", mode: 0o755})), ErrMismatch},
		{"another processor's program", imageOf(t, HostArchitecture(), nil, layerOf(t, entry{name: "usr/bin/python3.13", body: programFile(otherMachine, "3.13.1")}, entry{name: "usr/lib/python3.13/os.py"})), ErrMismatch},
		{"parent", with(entry{name: "../evil", body: "x"}), artifact.ErrUnsafe},
		{"parent inside", with(entry{name: "usr/../../evil", body: "x"}), artifact.ErrUnsafe},
		{"hard link out", with(entry{name: "l", kind: tar.TypeLink, link: "../../../etc/passwd"}), artifact.ErrUnsafe},
		{"hard link to nothing", with(entry{name: "l", kind: tar.TypeLink, link: "nothing"}), artifact.ErrUnsafe},
		{"hard link to a directory", with(entry{name: "l", kind: tar.TypeLink, link: "usr"}), artifact.ErrUnsafe},
		{"file over the root", with(entry{name: ".", kind: tar.TypeSymlink, link: "usr"}), artifact.ErrUnsafe},
		{"below a file", with(entry{name: "f", body: "x"}, entry{name: "f/g", body: "x"}), artifact.ErrUnsafe},
		{"links in a circle", with(entry{name: "a", kind: tar.TypeSymlink, link: "b"}, entry{name: "b", kind: tar.TypeSymlink, link: "a"}, entry{name: "a/x", body: "x"}), artifact.ErrUnsafe},
		{"too deep", with(entry{name: strings.Repeat("d/", 200) + "f", body: "x"}), artifact.ErrUnsafe},
		{"etc is a link", with(entry{name: "etc", kind: tar.TypeSymlink, link: "/usr"}), artifact.ErrUnsafe},
		{"no link target", with(entry{name: "l", kind: tar.TypeSymlink, link: strings.Repeat("x", 5000)}), artifact.ErrUnsafe},
		{"whiteout of everything", with(entry{name: ".wh...", body: ""}), artifact.ErrUnsafe},
		{"foreign layer", imageOf(t, HostArchitecture(), nil, foreign), ErrMismatch},
		{"not a layer", imageOf(t, HostArchitecture(), nil, garbage), ErrMismatch},
		{"a layer that unpacks to something else", imageOf(t, HostArchitecture(), nil, lyingDiff), ErrMismatch},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := only(t, Options{NoHost: true})
			_, err := c.Add(t.Context(), AddOptions{Identifier: "python3.13", Layout: layoutOf(t, tt.image)}, nil)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			nothingLeft(t, c)
		})
	}

	t.Run("a layer of another digest", func(t *testing.T) {
		c := only(t, Options{})
		dir := layoutOf(t, with())
		corrupt(t, dir, func(raw []byte) bool { return bytes.HasPrefix(raw, []byte("\x1f\x8b")) })
		if _, err := c.Add(t.Context(), AddOptions{Identifier: "python3.13", Layout: dir}, nil); err == nil {
			t.Error("added")
		}
		nothingLeft(t, c)
	})
	t.Run("a manifest of another digest", func(t *testing.T) {
		c := only(t, Options{})
		dir := layoutOf(t, with())
		corrupt(t, dir, func(raw []byte) bool { return bytes.Contains(raw, []byte(`"layers"`)) })
		if _, err := c.Add(t.Context(), AddOptions{Identifier: "python3.13", Layout: dir}, nil); !errors.Is(err, ErrMismatch) {
			t.Errorf("got %v", err)
		}
		nothingLeft(t, c)
	})
	t.Run("a configuration of another digest", func(t *testing.T) {
		c := only(t, Options{})
		dir := layoutOf(t, with())
		corrupt(t, dir, func(raw []byte) bool { return bytes.Contains(raw, []byte(`"rootfs"`)) })
		if _, err := c.Add(t.Context(), AddOptions{Identifier: "python3.13", Layout: dir}, nil); !errors.Is(err, ErrMismatch) {
			t.Errorf("got %v", err)
		}
		nothingLeft(t, c)
	})
	t.Run("options", func(t *testing.T) {
		c := only(t, Options{})
		for _, o := range []AddOptions{
			{Identifier: "python3.13"},
			{Identifier: "python3.13", Layout: "a", Image: "b"},
			{Identifier: "../x", Layout: "a"},
			{Identifier: "python3.13", Architecture: "s390x", Layout: "a"},
			{Identifier: "python3.13", Layout: t.TempDir()},
			{Identifier: "python3.12", Bootstrap: &Bootstrap{}},
			{Identifier: "python3.13", Bootstrap: &Bootstrap{Suite: "--setup-hook=x"}},
		} {
			if _, err := c.Add(t.Context(), o, nil); err == nil {
				t.Errorf("%+v was added", o)
			}
		}
		nothingLeft(t, c)
	})
}

// corrupt changes the last byte but a few of the first blob that is chosen, without a change of size.
func corrupt(t *testing.T, dir string, chosen func([]byte) bool) {
	t.Helper()
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs/sha256/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, blob := range blobs {
		raw, err := os.ReadFile(blob)
		if err != nil {
			t.Fatal(err)
		}
		if chosen(raw) {
			raw = bytes.Replace(raw, []byte(`":`), []byte(`" `[:1]+`:`), 1)
			if raw[0] == '{' {
				raw = append(raw[:len(raw)-1:len(raw)-1], []byte("} ")...)
			} else {
				raw[len(raw)/2] ^= 0xff
			}
			if err := os.WriteFile(blob, raw, 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("no such blob")
}

func nothingLeft(t *testing.T, c *Catalog) {
	t.Helper()
	filepath.WalkDir(c.dir, func(name string, e fs.DirEntry, err error) error {
		if rel, _ := filepath.Rel(c.dir, name); rel != "." && rel != "trees" && rel != "LOCK" {
			t.Errorf("%s was left behind", rel)
		}
		return err
	})
}

// TestLayersAreApplied checks the tree that layers make.
func TestLayersAreApplied(t *testing.T) {
	dirEntry := func(name string, mode int64) entry { return entry{name: name, kind: tar.TypeDir, mode: mode} }
	tests := []struct {
		name   string
		layers []v1.Layer
		want   []string
	}{
		{"kinds of compression", []v1.Layer{layerOf(t, entry{name: "gzip"}), zstdLayerOf(t, entry{name: "zstd"}), plainLayerOf(t, entry{name: "plain"})},
			[]string{"gzip -rw-r--r-- ", "plain -rw-r--r-- ", "zstd -rw-r--r-- "}},
		{"a later file wins", []v1.Layer{layerOf(t, entry{name: "a", body: "1"}), layerOf(t, entry{name: "a", body: "2"})}, []string{"a -rw-r--r-- 2"}},
		{"a file becomes a directory", []v1.Layer{layerOf(t, entry{name: "a", body: "1"}), layerOf(t, dirEntry("a", 0o755), entry{name: "a/b"})}, []string{"a drwxr-xr-x ", "a/b -rw-r--r-- "}},
		{"a directory becomes a file", []v1.Layer{layerOf(t, entry{name: "a/b"}), layerOf(t, entry{name: "a", body: "1"})}, []string{"a -rw-r--r-- 1"}},
		{"whiteout", []v1.Layer{layerOf(t, entry{name: "a/b"}, entry{name: "a/c"}), layerOf(t, entry{name: "a/.wh.b"})}, []string{"a drwxr-xr-x ", "a/c -rw-r--r-- "}},
		{"opaque spares its own layer", []v1.Layer{layerOf(t, entry{name: "a/old"}, entry{name: "a/d/old"}), layerOf(t, entry{name: "a/d/new"}, entry{name: "a/.wh..wh..opq"}, entry{name: "a/new"})},
			[]string{"a drwxr-xr-x ", "a/d drwxr-xr-x ", "a/d/new -rw-r--r-- ", "a/new -rw-r--r-- "}},
		{"absolute links from the top of the tree", []v1.Layer{layerOf(t, dirEntry("run", 0o755), entry{name: "var/run", kind: tar.TypeSymlink, link: "/run"}), layerOf(t, entry{name: "var/run/x", body: "1"})},
			[]string{"run drwxr-xr-x ", "run/x -rw-r--r-- 1", "var drwxr-xr-x ", "var/run -> /run"}},
		{"a link up stays inside", []v1.Layer{layerOf(t, entry{name: "l", kind: tar.TypeSymlink, link: "../../../../tmp/escape"}), layerOf(t, entry{name: "l/x", body: "1"})},
			[]string{"l -> ../../../../tmp/escape", "tmp drwxr-xr-x ", "tmp/escape drwxr-xr-x ", "tmp/escape/x -rw-r--r-- 1"}},
		{"setuid is dropped, devices too", []v1.Layer{layerOf(t, entry{name: "su", mode: 0o4755}, entry{name: "null", kind: tar.TypeChar}, entry{name: "pipe", kind: tar.TypeFifo})}, []string{"su -rwxr-xr-x "}},
		{"hard links", []v1.Layer{layerOf(t, entry{name: "d/a", body: "1"}, entry{name: "b", kind: tar.TypeLink, link: "/d/a"})}, []string{"b -rw-r--r-- 1", "d drwxr-xr-x ", "d/a -rw-r--r-- 1"}},
		{"a closed directory can be deleted", []v1.Layer{layerOf(t, dirEntry("d", 0o500), entry{name: "d/x"})}, []string{"d drwx------ ", "d/x -rw-r--r-- "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			root, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			if _, err := newTree(root).unpackImage(t.Context(), imageOf(t, HostArchitecture(), nil, tt.layers...), HostArchitecture(), func(string, int64, int64) {}); err != nil {
				t.Fatal(err)
			}
			var got []string
			filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
				rel, _ := filepath.Rel(dir, name)
				if rel == "." || err != nil {
					return err
				}
				info, err := e.Info()
				if err != nil {
					return err
				}
				line := fmt.Sprintf("%s %s ", rel, info.Mode())
				if info.Mode().IsRegular() {
					raw, _ := os.ReadFile(name)
					line += string(raw)
				}
				if info.Mode().Type() == fs.ModeSymlink {
					target, _ := os.Readlink(name)
					line = rel + " -> " + target
				}
				got = append(got, line)
				return nil
			})
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// TestFurnishReplacesLinks keeps mounts from being led elsewhere.
func TestFurnishReplacesLinks(t *testing.T) {
	c := only(t, Options{})
	in := add(t, c, AddOptions{Identifier: "provided.al2", Layout: layoutOf(t, imageOf(t, HostArchitecture(), nil, layerOf(t,
		entry{name: "tmp", kind: tar.TypeSymlink, link: "/etc"},
		entry{name: "var/task", kind: tar.TypeSymlink, link: "/etc"},
		entry{name: "etc/resolv.conf", kind: tar.TypeSymlink, link: "/run/resolv.conf"},
	)))})
	for _, name := range []string{"tmp", "var/task", "etc/resolv.conf"} {
		info, err := os.Lstat(filepath.Join(c.rootfs(in.Tree), name))
		if err != nil || info.Mode().Type() == fs.ModeSymlink {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

// TestIdentify finds interpreters where images have them.
func TestIdentify(t *testing.T) {
	exe := func(at, text string) entry {
		return entry{name: at, body: programFile(hostMachine(), text), mode: 0o755}
	}
	tests := []struct {
		identifier  string
		env         []string
		entries     []entry
		interpreter string
		version     string
	}{
		{"python3.13", nil, []entry{exe("var/lang/bin/python3.13", "x"), {name: "var/lang/lib/python3.13/os.py"}, {name: "var/lang/lib/libpython3.13.so.1.0", body: "\x003.13.4\x00"}}, "/var/lang/bin/python3.13", "3.13.4"},
		{"python3.13", nil, []entry{exe("usr/bin/python3.13", "x"), {name: "usr/bin/python3", kind: tar.TypeSymlink, link: "/usr/bin/python3.13"}, {name: "usr/lib/python3.13/os.py"}}, "/usr/bin/python3.13", "3.13"},
		{"nodejs20.x", []string{"NODE_VERSION=20.11.1"}, []entry{exe("usr/local/bin/node", "x")}, "/usr/local/bin/node", "20.11.1"},
		{"nodejs22.x", nil, []entry{exe("var/lang/bin/node", "v22.3.0")}, "/var/lang/bin/node", "22.3.0"},
		{"java21", []string{"JAVA_HOME=/opt/jdk"}, []entry{exe("opt/jdk/bin/java", "x"), {name: "opt/jdk/release", body: "IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"21.0.3\"\n"}}, "/opt/jdk/bin/java", "21.0.3"},
		{"java17", nil, []entry{exe("usr/lib/jvm/java-17/bin/java", "x"), {name: "usr/lib/jvm/java-17/release", body: "JAVA_VERSION=\"17.0.1\"\n"}}, "/usr/lib/jvm/java-17/bin/java", "17.0.1"},
		{"ruby3.3", nil, []entry{exe("usr/local/bin/ruby", "x"), {name: "usr/local/lib/ruby/3.3.0/json.rb"}, {name: "usr/local/lib/libruby.so.3.3", body: "\x003.3.6\x00"}}, "/usr/local/bin/ruby", "3.3.6"},
		{"dotnet8", nil, []entry{exe("var/lang/bin/dotnet", "x"), {name: "var/lang/bin/shared/Microsoft.NETCore.App/8.0.6/x.dll"}}, "/var/lang/bin/dotnet", "8.0.6"},
	}
	for _, tt := range tests {
		t.Run(tt.identifier, func(t *testing.T) {
			c := only(t, Options{})
			in := add(t, c, AddOptions{Identifier: tt.identifier, Layout: layoutOf(t, imageOf(t, HostArchitecture(), tt.env, layerOf(t, tt.entries...)))})
			if in.Interpreter != tt.interpreter || in.Version != tt.version {
				t.Errorf("%s %s, want %s %s", in.Interpreter, in.Version, tt.interpreter, tt.version)
			}
		})
	}
}

// TestBootstrapTool runs a tool in the place of mmdebstrap.
func TestBootstrapTool(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	tools := t.TempDir()
	python := filepath.Join(tools, "python")
	if err := os.WriteFile(python, []byte(programFile(hostMachine(), "3.11.9")), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", tools+":"+os.Getenv("PATH"))
	tests := []struct {
		name, script string
		fails        string // what the error says
	}{
		{"good", `echo "I: $*"; eval r=\${6}; mkdir -p "$r/usr/bin" "$r/usr/lib/python3.11" "$r/var/cache/apt" "$r/proc"; mount -t tmpfs none "$r/proc"; touch "$r/usr/lib/python3.11/os.py" "$r/var/cache/apt/x"; cp ` + python + ` "$r/usr/bin/python3.11"`, ""},
		{"failing", `for i in $(seq 100); do echo "line $i" >&2; done; exit 3`, "line 100"},
		{"wrong", `mkdir -p "$6/bin"`, "no python"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(tools, "mmdebstrap"), []byte("#!/bin/sh\nset -e\n"+tt.script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			c := only(t, Options{})
			var said []string
			in, err := c.Add(t.Context(), AddOptions{Identifier: "python3.11", Bootstrap: &Bootstrap{}}, func(stage string, _, _ int64) { said = append(said, stage) })
			if tt.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fails) || strings.Contains(err.Error(), "line 50") {
					t.Errorf("got %v", err)
				}
				nothingLeft(t, c)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if in.Version != "3.11.9" || in.Source != "Debian bookworm by mmdebstrap" || !strings.Contains(strings.Join(said, "\n"), "--include=python3,ca-certificates bookworm") {
				t.Errorf("%+v, %q", in, said)
			}
			if _, err := os.Stat(filepath.Join(c.rootfs(in.Tree), "var/cache/apt")); err == nil {
				t.Error("the package cache was kept")
			}
			mounts, err := os.ReadFile("/proc/mounts")
			if err != nil || strings.Contains(string(mounts), in.Tree) {
				t.Errorf("its mounts are the host's: %v", err)
			}
		})
	}
}

// TestBootstrap downloads a Debian release; it runs only when asked.
func TestBootstrap(t *testing.T) {
	if os.Getenv("LAMBDAD_TEST_BOOTSTRAP") == "" {
		t.Skip("downloads packages; set LAMBDAD_TEST_BOOTSTRAP=1 to run it")
	}
	c := only(t, Options{})
	in := add(t, c, AddOptions{Identifier: "python3.11", Bootstrap: &Bootstrap{Mirror: os.Getenv("LAMBDAD_TEST_MIRROR")}})
	if !strings.HasPrefix(in.Version, "3.11") || in.Bytes == 0 {
		t.Errorf("%+v", in)
	}
	out, err := exec.Command("chroot", c.rootfs(in.Tree), in.Interpreter, "-c", "import ssl, sqlite3, sys; print(sys.version)").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), in.Version) {
		t.Errorf("%v: %s", err, out)
	}
}
