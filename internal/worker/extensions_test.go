package worker

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestExternalExtensions(t *testing.T) {
	for _, tc := range []struct {
		name   string
		layers [][]string // files; one that ends with / is a folder
		want   []string
	}{
		{"nothing", [][]string{{}}, nil},
		{"no layer", nil, nil},
		{"other files", [][]string{{"bin/tool", "extensions.txt"}}, nil},
		{"a folder inside", [][]string{{"extensions/lib/x.js"}}, nil},
		{"a file of that name", [][]string{{"extensions"}}, nil},
		{"an extension", [][]string{{"extensions/probe", "extensions/lib/x.js"}}, []string{"probe"}},
		{"of many layers, in order", [][]string{{"extensions/b"}, {"extensions/c", "extensions/a"}, {"extensions/b"}}, []string{"a", "b", "c"}},
		{"hidden by a folder", [][]string{{"extensions/b"}, {"extensions/b/"}}, nil},
		{"over a folder", [][]string{{"extensions/b/"}, {"extensions/b"}}, []string{"b"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := &Environment{worker: &Worker{opts: Options{Extender: "/lambdad-init"}}}
			for _, files := range tc.layers {
				dir := t.TempDir()
				e.layerDirs = append(e.layerDirs, dir)
				for _, f := range files {
					path := filepath.Join(dir, f)
					if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
						t.Fatal(err)
					}
					if f[len(f)-1] == '/' {
						if err := os.MkdirAll(path, 0o755); err != nil {
							t.Fatal(err)
						}
					} else if err := os.WriteFile(path, nil, 0o755); err != nil {
						t.Fatal(err)
					}
				}
			}
			if have, err := e.externalExtensions(); !slices.Equal(have, tc.want) || err != nil {
				t.Errorf("%q, %v, want %q", have, err, tc.want)
			}
			e.worker.opts.Extender = ""
			if _, err := e.externalExtensions(); errors.Is(err, ErrExtensions) != (tc.want != nil) {
				t.Error("without the program that starts them:", err)
			}
		})
	}
}

// TestLinkedExtensions: the host follows no link of a layer's.
func TestLinkedExtensions(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/", filepath.Join(dir, extensionsDir)); err != nil {
		t.Fatal(err)
	}
	e := &Environment{worker: &Worker{opts: Options{Extender: "/lambdad-init"}}, layerDirs: []string{dir}}
	if have, err := e.externalExtensions(); !errors.Is(err, ErrExtensions) {
		t.Error(have, err)
	}
	e.layerDirs = []string{filepath.Join(t.TempDir(), "gone")}
	if have, err := e.externalExtensions(); have != nil || err != nil {
		t.Error("without a layer:", have, err)
	}
}
