package main

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	sourceDir = "../src"
	committed = "../lambdad-runtime.jar"
)

// The committed jar says from which sources it was made.
func TestJarIsOfTheseSources(t *testing.T) {
	_, hash, err := readSources(sourceDir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := zip.OpenReader(committed)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f, err := r.Open(sourcesEntry)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(b)) != hash {
		t.Fatal("lambdad-runtime.jar is older than its sources: run go generate ./internal/runtimeapi/client")
	}
}

// And it is, byte for byte, what the compiler that it was made with makes of them.
func TestJarIsReproducible(t *testing.T) {
	out, err := exec.Command("javac", "-version").CombinedOutput()
	if err != nil {
		t.Skip("needs javac")
	}
	if !strings.HasPrefix(string(out), "javac 17.") {
		t.Skipf("needs javac 17, which the jar is made with; here is %s", out)
	}
	jar := filepath.Join(t.TempDir(), "again.jar")
	if err := build(sourceDir, jar); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(jar)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(committed)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("the committed jar differs from a fresh build")
	}
}
