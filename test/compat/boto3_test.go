package compat

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/lambdad/lambdad/test/house"
)

// TestBoto3 runs testdata/boto3/story.py, whose assertions are its own.
func TestBoto3(t *testing.T) {
	python := needBoto3(t, 1, 0)
	script, err := filepath.Abs("testdata/boto3/story.py")
	if err != nil {
		t.Fatal(err)
	}
	h := house.Start(t)
	t.Log(run(t, h, t.TempDir(), python, script))
}

// needBoto3 finds a Python that has boto3 of this version or newer: the first on PATH, or the system's. Debian 12's
// is 1.26, Ubuntu 24.04's 1.34.
func needBoto3(t *testing.T, major, minor int) string {
	t.Helper()
	check := fmt.Sprintf("import boto3, sys; sys.exit(tuple(int(part) for part in boto3.__version__.split('.')[:2]) < (%d, %d))", major, minor)
	for _, candidate := range []string{"python3", "/usr/bin/python3"} {
		path, err := exec.LookPath(candidate)
		if err == nil && exec.Command(path, "-c", check).Run() == nil {
			return path
		}
	}
	t.Skipf("needs a python3 that has boto3 %d.%d", major, minor)
	return ""
}

// TestBoto3Queues runs testdata/boto3/queues.py: SQS over its JSON protocol.
func TestBoto3Queues(t *testing.T) {
	python := needBoto3(t, 1, 35) // MessageSystemAttributeNames
	script, err := filepath.Abs("testdata/boto3/queues.py")
	if err != nil {
		t.Fatal(err)
	}
	h := house.Start(t)
	t.Log(run(t, h, t.TempDir(), python, script))
}
