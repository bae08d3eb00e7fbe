package runtimes

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// baseDirs are the distribution's software: readable by every user of the machine and
// the same on any machine with the same packages. /usr/local is not among them, for what
// the owner of the machine puts there is his.
func baseDirs() []string {
	return []string{
		"/usr/bin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/share",
		"/bin", "/lib", "/lib32", "/lib64",
	}
}

// baseEtc is what of /etc a program needs that speaks TLS or loads libraries. Private
// keys lie beside some of it (/etc/ssl/private, /etc/pki/tls/private), so the whole
// directories are never mounted.
func baseEtc() []string {
	return []string{
		"/etc/ld.so.cache", "/etc/alternatives",
		"/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/ca-certificates.conf",
		"/etc/pki/tls/certs", "/etc/pki/tls/openssl.cnf", "/etc/pki/tls/cert.pem", "/etc/pki/ca-trust/extracted", "/etc/crypto-policies",
	}
}

// hostMounts collects mounts over an empty root; a path that is already seen
// through an earlier mount is not mounted again.
type hostMounts struct{ mounts []Mount }

// newHostMounts starts with what every program of the host needs, /bin/sh included.
func newHostMounts() *hostMounts {
	m := &hostMounts{}
	for _, p := range slices.Concat(baseDirs(), baseEtc()) {
		m.add(p)
	}
	return m
}

// add shows what is at p, if anything is, at p.
func (m *hostMounts) add(p string) {
	p = filepath.Clean(p)
	if m.covers(p) {
		return
	}
	real, err := filepath.EvalSymlinks(p)
	if err != nil || exposes(real) {
		return
	}
	m.mounts = append(m.mounts, Mount{Source: real, Target: p})
}

// addReachable also adds what p leads to: symbolic links in it, link by link, so that the
// same path resolves in the sandbox.
func (m *hostMounts) addReachable(p string) {
	for range 40 { // the kernel's bound on links
		hop, rest, ok := firstLink(p)
		if !ok {
			break
		}
		if !m.covers(hop.at) {
			break // a mount at p itself ends in its real path
		}
		p = filepath.Join(hop.target, rest)
	}
	m.add(p)
}

func (m *hostMounts) covers(p string) bool {
	return slices.ContainsFunc(m.mounts, func(o Mount) bool { return within(o.Target, p) })
}

// sorted puts a mount before those that lie below it.
func (m *hostMounts) sorted() []Mount {
	slices.SortStableFunc(m.mounts, func(a, b Mount) int { return strings.Compare(a.Target, b.Target) })
	return m.mounts
}

type link struct{ at, target string }

// firstLink finds the first symbolic link on the way to p.
func firstLink(p string) (hop link, rest string, ok bool) {
	parts := strings.Split(strings.TrimPrefix(p, "/"), "/")
	at := "/"
	for i, part := range parts {
		at = filepath.Join(at, part)
		info, err := os.Lstat(at)
		if err != nil {
			return link{}, "", false
		}
		if info.Mode().Type() != fs.ModeSymlink {
			continue
		}
		target, err := os.Readlink(at)
		if err != nil {
			return link{}, "", false
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(at), target)
		}
		return link{at, target}, filepath.Join(parts[i+1:]...), true
	}
	return link{}, "", false
}

// exposes is true for directories that hold more than software.
func exposes(real string) bool {
	switch real {
	case "/", "/etc", "/usr", "/home", "/root", "/var", "/var/lib", "/tmp", "/run", "/opt", "/srv", "/mnt", "/media", "/usr/local", "/proc", "/sys", "/dev", "/boot":
		return true
	}
	home, err := os.UserHomeDir()
	return err == nil && real == filepath.Clean(home) || filepath.Dir(real) == "/home"
}

// ownPrefix tells whether a directory holds an installation and nothing else, so that
// it can be shown as a whole: everything in it has a name that installations use.
func ownPrefix(prefix string) bool {
	if exposes(prefix) || filepath.Dir(prefix) == "/" {
		return false
	}
	entries, err := os.ReadDir(prefix)
	if err != nil || len(entries) == 0 {
		return false
	}
	usual := []string{
		"bin", "sbin", "lib", "lib32", "lib64", "libexec", "include", "share", "man", "doc", "docs",
		"conf", "jmods", "legal", "demo", "sample", "ssl", "openssl",
	}
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || e.Type() == fs.ModeSymlink {
			if !slices.Contains(usual, name) {
				return false
			}
			continue
		}
		// release, LICENSE, NOTICE, README.md, src.zip, ...
		if name != "release" && name != "src.zip" && strings.ToUpper(strings.TrimSuffix(name, filepath.Ext(name))) != strings.TrimSuffix(name, filepath.Ext(name)) {
			return false
		}
	}
	return true
}

// Bounds of looking through an installation for links and libraries.
const (
	installationEntriesMax = 20_000
	installationDepthMax   = 6
)

// mountsOf are the mounts that an interpreter of the host needs, and the libraries of the
// interpreter itself that this machine does not have.
func mountsOf(in interpreter) (mounts []Mount, missing []string) {
	m := newHostMounts()
	// The prefix of Node.js is wherever somebody put its one file, so only the file is shown.
	if in.language != NodeJS && ownPrefix(in.prefix) {
		m.addReachable(in.prefix)
	}
	m.addReachable(in.executable)
	var objects []string
	for _, dir := range in.libraries {
		m.addReachable(dir)
		found, links := survey(dir)
		objects = append(objects, found...)
		for _, l := range links {
			m.addLinked(l)
		}
	}
	_, missing = libraries([]string{in.executable})
	needed, _ := libraries(append(objects, in.executable)) // an optional module may lack its libraries
	for _, lib := range needed {
		m.addReachable(lib)
	}
	return m.sorted(), missing
}

// addLinked follows a link out of an installation. Debian keeps the configuration of Java in
// /etc/java-N-openjdk; other links into /etc or to people's files are not followed.
func (m *hostMounts) addLinked(target string) {
	if m.covers(target) {
		return
	}
	if rest, ok := strings.CutPrefix(target, "/etc/"); ok {
		name, _, _ := strings.Cut(rest, "/")
		if strings.HasPrefix(name, "java") {
			m.add("/etc/" + name)
		}
	}
}

// survey looks through an installation for shared objects and for links that lead out of it.
func survey(dir string) (objects, links []string) {
	left := installationEntriesMax
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if left--; left < 0 {
			return fs.SkipAll
		}
		if err != nil {
			return fs.SkipDir
		}
		if e.IsDir() {
			if strings.Count(strings.TrimPrefix(name, dir), "/") > installationDepthMax || e.Name() == "site-packages" || e.Name() == "dist-packages" || e.Name() == "__pycache__" {
				return fs.SkipDir
			}
			return nil
		}
		if e.Type() == fs.ModeSymlink {
			target, err := os.Readlink(name)
			if err != nil {
				return nil
			}
			if !filepath.IsAbs(target) {
				target = filepath.Join(filepath.Dir(name), target)
			}
			if !within(dir, target) {
				links = append(links, target)
			}
			return nil
		}
		if strings.HasSuffix(name, ".so") || strings.Contains(e.Name(), ".so.") {
			objects = append(objects, name)
		}
		return nil
	})
	if err != nil {
		return nil, nil
	}
	return objects, links
}
