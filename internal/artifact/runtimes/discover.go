package runtimes

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// candidatesMax bounds how many programs are run to find interpreters.
const candidatesMax = 64

// names are what interpreters are called; what they are, only they tell.
var names = map[Language]*regexp.Regexp{
	Python: regexp.MustCompile(`^python3(\.\d+)?$`),
	NodeJS: regexp.MustCompile(`^node(js)?(-?\d+)?$`),
	Java:   regexp.MustCompile(`^java$`),
	Ruby:   regexp.MustCompile(`^ruby(\d(\.\d+)?)?$`),
}

// search is where interpreters may be.
type search struct {
	path  []string // directories of programs, in order
	extra []string // further programs or directories
	home  string
	only  bool // nothing but extra
}

// hostSearch is this process's PATH and home, and extra before them.
func hostSearch(extra []string, only bool) search {
	return search{path: filepath.SplitList(os.Getenv("PATH")), extra: extra, home: os.Getenv("HOME"), only: only}
}

// places are the directories where packages and version managers install programs.
func (s search) places() []string {
	patterns := []string{
		"/usr/bin", "/usr/local/bin", "/opt/*/bin", "/usr/lib/jvm/*/bin", "/usr/local/*/bin",
		"/opt/hostedtoolcache/*/*/*/bin", "/usr/local/lib/nodejs/*/bin",
	}
	if s.home != "" {
		for _, p := range []string{
			".pyenv/versions/*/bin", ".rbenv/versions/*/bin", ".nodenv/versions/*/bin", ".nvm/versions/node/*/bin",
			".asdf/installs/*/*/bin", ".local/share/mise/installs/*/*/bin", ".sdkman/candidates/java/*/bin",
			".local/share/uv/python/*/bin",
		} {
			patterns = append(patterns, filepath.Join(s.home, p))
		}
	}
	var dirs []string
	for _, dir := range s.path {
		if !filepath.IsAbs(dir) {
			continue
		}
		// A version manager's shims run whichever version is current: look at its versions instead.
		if filepath.Base(dir) == "shims" {
			patterns = append(patterns, filepath.Join(filepath.Dir(dir), "versions/*/bin"), filepath.Join(filepath.Dir(dir), "installs/*/*/bin"))
			continue
		}
		dirs = append(dirs, dir)
	}
	for _, p := range patterns {
		found, err := filepath.Glob(p)
		if err == nil { // the only error is of a home directory with a bad pattern in it
			dirs = append(dirs, found...)
		}
	}
	return dirs
}

type candidate struct {
	language Language
	path     string
}

// candidates lists programs, each file once.
func (s search) candidates() []candidate {
	var all []candidate
	seen := map[string]bool{}
	add := func(name string) {
		for language, form := range names {
			if !form.MatchString(filepath.Base(name)) {
				continue
			}
			real, err := filepath.EvalSymlinks(name)
			if err != nil || seen[string(language)+real] {
				continue
			}
			info, err := os.Stat(real)
			if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
				continue
			}
			seen[string(language)+real] = true
			all = append(all, candidate{language, name})
		}
	}
	addDir := func(dir string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return
		}
		for _, e := range entries {
			add(filepath.Join(dir, e.Name()))
		}
	}
	for _, name := range s.extra {
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			addDir(name)
			continue
		}
		add(name)
	}
	if !s.only {
		for _, dir := range s.places() {
			addDir(dir)
		}
	}
	return all[:min(len(all), candidatesMax)]
}

// find runs the candidates and returns those that are interpreters: first those that bring
// AWS's SDK as its own runtimes do, then distribution packages, then the newest.
func (s search) find(ctx context.Context) []interpreter {
	var (
		mu    sync.Mutex
		found []interpreter
		wg    sync.WaitGroup
		slots = make(chan struct{}, probeParallelMax)
	)
	for _, c := range s.candidates() {
		wg.Add(1)
		slots <- struct{}{}
		go func() {
			defer func() { <-slots; wg.Done() }()
			in, err := probe(ctx, c.language, c.path)
			if err != nil {
				return // not an interpreter: one of the many files with such a name
			}
			mu.Lock()
			defer mu.Unlock()
			if !slices.ContainsFunc(found, func(o interpreter) bool { return o.executable == in.executable && o.language == in.language }) {
				found = append(found, in)
			}
		}()
	}
	wg.Wait()
	slices.SortFunc(found, func(a, b interpreter) int {
		if c := strings.Compare(string(a.language), string(b.language)); c != 0 {
			return c
		}
		if a.sdk != b.sdk {
			if a.sdk {
				return -1
			}
			return 1
		}
		if pa, pb := within("/usr", a.executable), within("/usr", b.executable); pa != pb {
			if pa {
				return -1
			}
			return 1
		}
		if c := compareVersions(b.version, a.version); c != 0 {
			return c
		}
		return strings.Compare(a.executable, b.executable)
	})
	return found
}

// within tells whether name is dir or lies below it; both are clean.
func within(dir, name string) bool {
	return name == dir || dir == "/" || strings.HasPrefix(name, dir+"/")
}
