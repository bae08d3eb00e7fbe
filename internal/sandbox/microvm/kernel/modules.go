package kernel

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// wanted are the modules that a guest needs, with those that they need; one
// that the kernel has built in is no file.
var wanted = []string{"virtio_mmio", "virtio_console", "virtio_scsi", "sd_mod", "virtio_blk", "erofs", "overlay",
	"vmw_vsock_virtio_transport", "virtio_rng"}

const moduleMax = 32 << 20

// order finds the modules' files, each after those that it needs.
func order(tree, release string) ([]string, error) {
	files := map[string]string{}
	var err error
	for _, base := range []string{"lib", "usr/lib"} {
		top := filepath.Join(tree, base, "modules", release)
		if _, missing := os.Stat(top); missing != nil {
			continue
		}
		err = filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() && strings.Contains(e.Name(), ".ko") {
				files[moduleName(path)] = path
			}
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("kernel: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("kernel: no modules of %s", release)
	}
	var list []string
	seen := map[string]bool{}
	var visit func(name string) error
	visit = func(name string) error {
		if seen[name] || files[name] == "" {
			return nil
		}
		seen[name] = true
		content, _, err := readModule(files[name])
		if err != nil {
			return err
		}
		needs, err := dependencies(content)
		if err != nil {
			return fmt.Errorf("kernel: %s: %w", name, err)
		}
		for _, need := range needs {
			if err := visit(need); err != nil {
				return err
			}
		}
		list = append(list, files[name])
		return nil
	}
	for _, name := range wanted {
		if err := visit(name); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func moduleName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// readModule reads a module, uncompressed, and the name of that form.
func readModule(path string) ([]byte, string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, "", fmt.Errorf("kernel: %w", err)
	}
	name := moduleName(path) + ".ko"
	switch filepath.Ext(path) {
	case ".ko":
	case ".gz":
		var r *gzip.Reader
		if r, err = gzip.NewReader(bytes.NewReader(content)); err == nil {
			content, err = readAll(r, moduleMax)
		}
	case ".zst":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(bytes.NewReader(content)); err == nil {
			content, err = readAll(d, moduleMax)
			d.Close()
		}
	case ".xz":
		content, err = unxz(content)
	default:
		err = fmt.Errorf("compressed in a way that is not known")
	}
	if err != nil {
		return nil, "", fmt.Errorf("kernel: %s: %w", path, err)
	}
	return content, name, nil
}

// dependencies reads the "depends" entry of a module's .modinfo section.
func dependencies(content []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, nil
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for entry := range bytes.SplitSeq(info, []byte{0}) {
		if list, ok := bytes.CutPrefix(entry, []byte("depends=")); ok && len(list) > 0 {
			names := strings.Split(strings.ReplaceAll(string(list), "-", "_"), ",")
			return slices.DeleteFunc(names, func(s string) bool { return s == "" }), nil
		}
	}
	return nil, nil
}
