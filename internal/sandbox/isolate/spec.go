package isolate

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lambdad/lambdad/internal/sandbox"
)

const (
	// TmpParkedMiB is the size of the /tmp that a parked sandbox has ready: Lambda's default.
	TmpParkedMiB = 512
	// InodesPerMiB bounds the files in /tmp as ext4 does by default: one for 16 KiB.
	InodesPerMiB = 64
	// TmpInMemory is unenforced where /tmp is a tmpfs: what it holds counts towards the
	// memory limit.
	TmpInMemory = "tmp apart from memory"
)

var (
	errNoProgram   = errors.New("the program must be an absolute path")
	errNoDirectory = errors.New("the working directory must be an absolute path")
	errZeroByte    = errors.New("an argument or variable contains a zero byte")
	errNegative    = errors.New("a limit is negative")
	errMountPath   = errors.New("not a clean absolute path")
)

// CheckProgram refuses what the kernel would misunderstand.
func CheckProgram(argv, env []string, dir string) error {
	switch {
	case len(argv) == 0 || !path.IsAbs(argv[0]):
		return errNoProgram
	case dir != "" && !path.IsAbs(dir):
		return errNoDirectory
	}
	for _, list := range [][]string{argv, env, {dir}} {
		for _, s := range list {
			if strings.IndexByte(s, 0) >= 0 {
				return errZeroByte
			}
		}
	}
	return nil
}

// CheckLimits refuses limits that mean nothing and, if they are strict, those that are
// asked for and among the unenforced.
func CheckLimits(l sandbox.Limits, unenforced []string) error {
	if l.MemoryMiB < 0 || l.CPUMilli < 0 || l.TmpMiB < 0 {
		return errNegative
	}
	missing := slices.DeleteFunc(slices.Clone(unenforced), func(name string) bool { // not asked for
		return (name == "memory" && l.MemoryMiB == 0) || (name == "cpu" && l.CPUMilli == 0) || (name == TmpInMemory && l.TmpMiB == 0)
	})
	if l.Strict && len(missing) > 0 {
		return fmt.Errorf("%s cannot be limited on this host: %w", strings.Join(missing, ", "), sandbox.ErrUnsupported)
	}
	return nil
}

// CheckMount refuses paths that could be read in two ways.
func CheckMount(m sandbox.Mount) error {
	if !filepath.IsAbs(m.Source) || !path.IsAbs(m.Target) || path.Clean(m.Target) != m.Target || m.Target == "/" {
		return fmt.Errorf("mount %q at %q: %w", m.Source, m.Target, errMountPath)
	}
	return nil
}
