package worker

import (
	"os"
	"path/filepath"
	"testing"
)

func TestExtensionIn(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		files      []string
		link       string
	}{
		{"nothing", "", nil, ""},
		{"other files", "", []string{"bin/tool", "extensions.txt"}, ""},
		{"a folder inside", "", []string{"extensions/lib/x.js"}, ""},
		{"a file of that name", "", []string{"extensions"}, ""},
		{"an extension", "probe", []string{"extensions/probe", "extensions/lib/x.js"}, ""},
		{"a link", ".", nil, "/"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, f := range tc.files {
				path := filepath.Join(dir, f)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, nil, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if tc.link != "" {
				if err := os.Symlink(tc.link, filepath.Join(dir, extensionsDir)); err != nil {
					t.Fatal(err)
				}
			}
			if have, err := extensionIn(dir); have != tc.want || err != nil {
				t.Errorf("%q, %v, want %q", have, err, tc.want)
			}
		})
	}
	if have, err := extensionIn(filepath.Join(t.TempDir(), "gone")); have != "" || err != nil {
		t.Errorf("without a layer: %q, %v", have, err)
	}
}
