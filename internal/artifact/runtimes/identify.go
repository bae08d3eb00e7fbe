package runtimes

import (
	"bufio"
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Bounds of looking for an interpreter in an added tree.
const (
	identifyCandidatesMax = 128
	scanBytesMax          = 512 << 20
	smallFileMax          = 1 << 20
)

// identified is the interpreter in a tree. Nothing in the tree is run to find it: it is
// somebody else's program, and this process is often root.
type identified struct {
	interpreter string // path in the sandbox
	version     string
}

// identify looks for the interpreter that a runtime's name promises.
func (t *tree) identify(spec Spec, architecture string, env []string) (identified, error) {
	if spec.Language == Provided {
		return identified{}, nil
	}
	var seen []string
	for _, at := range t.programs(spec.Language, env) {
		real, err := t.resolve(at)
		if err != nil || slices.Contains(seen, real) || t.architecture(real) != architecture {
			continue
		}
		seen = append(seen, real)
		version := t.versionOf(spec, real, env)
		if version != "" && spec.fits(version) {
			return identified{interpreter: "/" + real, version: version}, nil
		}
	}
	if len(seen) == 0 {
		return identified{}, fmt.Errorf("%w: it has no %s for %s", ErrMismatch, spec.Language, architecture)
	}
	return identified{}, fmt.Errorf("%w: it has /%s, but that is not %s %s", ErrMismatch, strings.Join(seen, ", /"), spec.Language, spec.Version)
}

// programs lists what is called like an interpreter on the image's PATH and in the usual places.
func (t *tree) programs(language Language, env []string) []string {
	dirs := strings.Split(envValue(env, "PATH"), ":")
	if home := envValue(env, "JAVA_HOME"); home != "" {
		dirs = append(dirs, path.Join(home, "bin"))
	}
	dirs = append(dirs, "/var/lang/bin", "/usr/local/bin", "/usr/bin", "/opt/java/openjdk/bin", "/usr/share/dotnet", "/usr/lib/dotnet")
	for _, jvm := range t.list("usr/lib/jvm") {
		dirs = append(dirs, path.Join("/usr/lib/jvm", jvm, "bin"))
	}
	form := names[language]
	if language == DotNet {
		form = regexp.MustCompile(`^dotnet$`)
	}
	if form == nil {
		return nil
	}
	var found []string
	for _, dir := range dirs {
		clean, err := cleanName(dir)
		if err != nil || !path.IsAbs(dir) {
			continue
		}
		for _, name := range t.list(clean) {
			if form.MatchString(name) && len(found) < identifyCandidatesMax {
				found = append(found, path.Join(clean, name))
			}
		}
	}
	return found
}

// versionOf reads a version from the files beside an interpreter.
func (t *tree) versionOf(spec Spec, real string, env []string) string {
	prefix := path.Dir(path.Dir(real))
	exact := regexp.QuoteMeta(spec.Version)
	switch spec.Language {
	case Python:
		if !t.isFile(path.Join(prefix, "lib", "python"+spec.Version, "os.py")) {
			return ""
		}
		return firstOf(t.scan(regexp.MustCompile(`\x00(`+exact+`\.\d+)\+?\x00`), append(t.beside(prefix, "libpython"+spec.Version), real)), spec.Version)
	case Ruby:
		if len(t.list(path.Join(prefix, "lib/ruby", spec.Version+".0"))) == 0 {
			return ""
		}
		return firstOf(t.scan(regexp.MustCompile(`\x00(`+exact+`\.\d+)\x00`), append(t.beside(prefix, "libruby"), real)), spec.Version)
	case NodeJS:
		if v := envValue(env, "NODE_VERSION"); spec.fits(v) {
			return v
		}
		return t.scan(regexp.MustCompile(`\x00v(`+exact+`\.\d+\.\d+)\x00`), append([]string{real}, t.beside(prefix, "libnode")...))
	case Java:
		for line := range strings.Lines(t.read(path.Join(prefix, "release"))) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "JAVA_VERSION="); ok {
				return javaVersion(strings.Trim(v, `"`))
			}
		}
	case DotNet:
		for _, v := range t.list(path.Join(path.Dir(real), "shared/Microsoft.NETCore.App")) {
			if spec.fits(v) {
				return v
			}
		}
	}
	return ""
}

func (t *tree) architecture(at string) string {
	f, err := t.root.Open(at)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	e, err := elf.NewFile(f)
	if err != nil {
		return ""
	}
	return architectureOf(e.Machine)
}

// list names the entries of a directory, or nothing.
func (t *tree) list(dir string) []string {
	at, err := t.resolve(dir)
	if err != nil {
		return nil
	}
	d, err := t.root.Open(at)
	if err != nil {
		return nil
	}
	defer d.Close()
	entries, err := d.ReadDir(20_000)
	if err != nil && err != io.EOF {
		return nil
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	slices.Sort(all)
	return all
}

// beside lists the shared libraries of a name that belong to a prefix.
func (t *tree) beside(prefix, name string) []string {
	var found []string
	for _, dir := range []string{path.Join(prefix, "lib"), path.Join(prefix, "lib64"), "usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu"} {
		for _, e := range t.list(dir) {
			if strings.HasPrefix(e, name) && strings.Contains(e, ".so") {
				found = append(found, path.Join(dir, e))
			}
		}
	}
	return found
}

func (t *tree) openRegular(at string) (fs.File, error) {
	real, err := t.resolve(at)
	if err != nil {
		return nil, err
	}
	info, err := t.root.Lstat(real)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fs.ErrInvalid
	}
	return t.root.Open(real)
}

func (t *tree) isFile(at string) bool {
	f, err := t.openRegular(at)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

func (t *tree) read(at string) string {
	f, err := t.openRegular(at)
	if err != nil {
		return ""
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, smallFileMax))
	if err != nil {
		return ""
	}
	return string(raw)
}

// scan returns the first submatch of form in the first file that has one. A match is
// short: what matters at the seam of two reads is kept.
func (t *tree) scan(form *regexp.Regexp, files []string) string {
	for _, at := range files {
		f, err := t.openRegular(at)
		if err != nil {
			continue
		}
		match := scanFile(form, bufio.NewReader(io.LimitReader(f, scanBytesMax)))
		f.Close()
		if match != "" {
			return match
		}
	}
	return ""
}

func scanFile(form *regexp.Regexp, r io.Reader) string {
	const seam = 64
	buffer := make([]byte, 1<<20)
	kept := 0
	for {
		n, err := io.ReadFull(r, buffer[kept:])
		if m := form.FindSubmatch(buffer[:kept+n]); m != nil {
			return string(bytes.Clone(m[1]))
		}
		if err != nil {
			return ""
		}
		kept = copy(buffer, buffer[len(buffer)-seam:])
	}
}

func envValue(env []string, name string) string {
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
