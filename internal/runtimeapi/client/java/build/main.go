// Command build compiles the Java runtime client and writes lambdad-runtime.jar
// beside its sources. The jar is committed, since a machine that builds lambdad
// need not have a JDK; a test holds that it was made from these sources.
package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Release is the oldest Java that the classes run on. java8.al2 is the oldest
// runtime that AWS still names.
const Release = "8"

// sourcesEntry holds the hash of the sources in the jar.
const sourcesEntry = "META-INF/lambdad-sources.sha256"

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: build SOURCE-DIRECTORY JAR")
	}
	if err := build(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func build(src, jar string) error {
	sources, hash, err := readSources(src)
	if err != nil {
		return err
	}
	classes, err := os.MkdirTemp("", "lambdad-java-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(classes)
	// No debug information but lines: traces of the runtime need no more.
	args := append([]string{"--release", Release, "-Xlint:-options", "-g:lines,source", "-encoding", "UTF-8", "-d", classes}, sources...)
	if out, err := exec.Command("javac", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("javac: %w\n%s", err, out)
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	if err := add(w, "META-INF/MANIFEST.MF", []byte("Manifest-Version: 1.0\r\nMain-Class: lambdad.runtime.Main\r\n\r\n")); err != nil {
		return err
	}
	if err := add(w, sourcesEntry, []byte(hash+"\n")); err != nil {
		return err
	}
	err = filepath.WalkDir(classes, func(p string, d fs.DirEntry, err error) error { // in lexical order
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(classes, p)
		if err != nil {
			return err
		}
		return add(w, filepath.ToSlash(name), content)
	})
	if err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(jar, b.Bytes(), 0o644)
}

// add writes an entry that is the same on every machine. It is not compressed:
// the JVM loads it faster, and it is small.
func add(w *zip.Writer, name string, content []byte) error {
	h := &zip.FileHeader{Name: name, Method: zip.Store, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
	e, err := w.CreateHeader(h)
	if err != nil {
		return err
	}
	_, err = e.Write(content)
	return err
}

// readSources lists the sources in order and hashes their names and contents.
func readSources(src string) (files []string, hash string, err error) {
	h := sha256.New()
	err = filepath.WalkDir(src, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".java") {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, p)
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%s %d\n", filepath.ToSlash(rel), len(b))
		h.Write(b)
		files = append(files, p)
		return nil
	})
	return files, hex.EncodeToString(h.Sum(nil)), err
}
