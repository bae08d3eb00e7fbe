package runtimes

import (
	"bufio"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds of following a program's libraries.
const (
	librariesMax = 512
	ldConfDepth  = 4
	ldConfBytes  = 64 << 10
)

// libraries follows what ELF files need (the loader and DT_NEEDED), as the dynamic
// loader would with an empty environment, without running anything. It returns the
// paths at which the loader looks, and the names that it would not find.
func libraries(files []string) (found, missing []string) {
	l := linker{dirs: loaderDirs("/etc/ld.so.conf", 0), seen: map[string]bool{}}
	for _, f := range files {
		l.follow(f, nil)
	}
	slices.Sort(l.missing)
	return l.found, slices.Compact(l.missing)
}

type linker struct {
	dirs    []string
	seen    map[string]bool
	found   []string
	missing []string
}

// follow adds the libraries of one file; inherited are the DT_RPATHs of who loads it.
func (l *linker) follow(name string, inherited []string) {
	if len(l.seen) >= librariesMax || l.seen[name] {
		return
	}
	l.seen[name] = true
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return
	}
	f, err := elf.Open(real)
	if err != nil {
		return // a linker script or no ELF file: nothing to follow
	}
	defer f.Close()
	if loader := interpOf(f); loader != "" && !slices.Contains(l.found, loader) {
		l.found = append(l.found, loader)
	}
	needed, err := f.ImportedLibraries()
	if err != nil {
		return
	}
	origin := filepath.Dir(real)
	runpath := dynamicDirs(f, elf.DT_RUNPATH, origin)
	rpath := slices.Concat(dynamicDirs(f, elf.DT_RPATH, origin), inherited)
	look := slices.Concat(rpath, runpath, l.dirs)
	for _, n := range needed {
		at := l.locate(n, look, f.Machine, f.Class)
		if at == "" {
			l.missing = append(l.missing, n)
			continue
		}
		if !slices.Contains(l.found, at) {
			l.found = append(l.found, at)
		}
		l.follow(at, rpath)
	}
}

func (l *linker) locate(name string, dirs []string, machine elf.Machine, class elf.Class) string {
	if strings.Contains(name, "/") {
		if filepath.IsAbs(name) {
			return name
		}
		return ""
	}
	for _, d := range dirs {
		at := filepath.Join(d, name)
		f, err := elf.Open(at)
		if err != nil {
			continue
		}
		fits := f.Machine == machine && f.Class == class
		f.Close()
		if fits {
			return at
		}
	}
	return ""
}

func interpOf(f *elf.File) string {
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP || p.Filesz > 4096 {
			continue
		}
		raw := make([]byte, p.Filesz)
		if _, err := p.ReadAt(raw, 0); err != nil {
			return ""
		}
		name := strings.TrimRight(string(raw), "\x00")
		if filepath.IsAbs(name) {
			return filepath.Clean(name)
		}
	}
	return ""
}

func dynamicDirs(f *elf.File, tag elf.DynTag, origin string) (dirs []string) {
	values, err := f.DynString(tag)
	if err != nil {
		return nil
	}
	for _, v := range values {
		for d := range strings.SplitSeq(v, ":") {
			d = strings.NewReplacer("$ORIGIN", origin, "${ORIGIN}", origin).Replace(d)
			if filepath.IsAbs(d) && !strings.Contains(d, "$") {
				dirs = append(dirs, filepath.Clean(d))
			}
		}
	}
	return dirs
}

// loaderDirs are the directories of ld.so.conf and the loader's own.
func loaderDirs(conf string, depth int) []string {
	dirs := readLoaderConf(conf, depth)
	if depth == 0 {
		dirs = append(dirs, "/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib")
	}
	return dirs
}

func readLoaderConf(conf string, depth int) (dirs []string) {
	info, err := os.Stat(conf)
	if err != nil || info.Size() > ldConfBytes || depth > ldConfDepth {
		return nil
	}
	f, err := os.Open(conf)
	if err != nil {
		return nil
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		line = strings.TrimSpace(line)
		if pattern, ok := strings.CutPrefix(line, "include "); ok {
			pattern = strings.TrimSpace(pattern)
			if !filepath.IsAbs(pattern) {
				pattern = filepath.Join(filepath.Dir(conf), pattern)
			}
			files, err := filepath.Glob(pattern)
			if err != nil {
				continue
			}
			for _, file := range files {
				dirs = append(dirs, readLoaderConf(file, depth+1)...)
			}
			continue
		}
		if filepath.IsAbs(line) {
			dirs = append(dirs, filepath.Clean(line))
		}
	}
	return dirs
}

// missingNote is for doctor.
func missingNote(missing []string) string {
	if len(missing) == 0 {
		return ""
	}
	return fmt.Sprintf("libraries not found: %s", strings.Join(missing, ", "))
}
