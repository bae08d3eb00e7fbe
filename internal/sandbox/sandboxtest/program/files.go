package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

func fileDeeds() map[string]deed {
	return map[string]deed{
		"read":      func(args []string) (string, error) { return read(args[0]) },
		"write":     func(args []string) (string, error) { return "", os.WriteFile(args[0], []byte("x"), 0o644) },
		"stat":      stat,
		"list":      list,
		"writable":  writable,
		"fill":      fill,
		"fill-many": fillMany,
	}
}

func stat(args []string) (string, error) {
	var out []string
	for _, path := range args {
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		s := info.Sys().(*syscall.Stat_t)
		out = append(out, fmt.Sprintf("%s %s %d:%d", path, info.Mode(), s.Uid, s.Gid))
	}
	return strings.Join(out, "\n"), nil
}

func list(args []string) (string, error) {
	entries, err := os.ReadDir(args[0])
	if err != nil {
		return "", err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " "), nil
}

// writable tries to make a file in every directory of the root filesystem, and
// to change every file of /proc and /etc, and tells where it could.
func writable([]string) (string, error) {
	var could []string
	err := filepath.WalkDir("/", func(path string, e os.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil // not even readable
		case path == "/usr" || path == "/tmp" || path == "/proc/self" || path == "/proc/thread-self" || isProcess(path):
			return filepath.SkipDir
		case e.IsDir():
			name := filepath.Join(path, ".probe")
			if os.WriteFile(name, nil, 0o600) == nil {
				could = append(could, name)
			}
		case isRegular(path): // what the directory says lies below a mount
			if f, err := os.OpenFile(path, os.O_WRONLY, 0); err == nil {
				could = append(could, path)
				f.Close()
			}
		}
		return nil
	})
	slices.Sort(could)
	return strings.Join(could, " "), err
}

func isRegular(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular()
}

func isProcess(path string) bool {
	rest, ok := strings.CutPrefix(path, "/proc/")
	return ok && rest != "" && rest[0] >= '0' && rest[0] <= '9'
}

// fill writes to a file until something stops it.
func fill(args []string) (string, error) {
	f, err := os.Create(args[0])
	if err != nil {
		return "", err
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for total := 0; ; total++ {
		if _, err := f.Write(block); err != nil {
			return fmt.Sprintf("%d MiB", total), err
		}
	}
}

// fillMany makes empty files until something stops it.
func fillMany(args []string) (string, error) {
	for n := 0; ; n++ {
		f, err := os.Create(filepath.Join(args[0], fmt.Sprint(n)))
		if err != nil {
			return fmt.Sprintf("%d files", n), err
		}
		if err := f.Close(); err != nil {
			return "", err
		}
	}
}
