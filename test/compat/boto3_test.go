package compat

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/lambdad/lambdad/test/house"
)

// TestBoto3 runs testdata/boto3/story.py, whose assertions are its own.
func TestBoto3(t *testing.T) {
	python := needBoto3(t)
	script, err := filepath.Abs("testdata/boto3/story.py")
	if err != nil {
		t.Fatal(err)
	}
	h := house.Start(t)
	t.Log(run(t, h, t.TempDir(), python, script))
}

// needBoto3 finds a Python that has boto3: the first on PATH, or the system's.
func needBoto3(t *testing.T) string {
	t.Helper()
	for _, candidate := range []string{"python3", "/usr/bin/python3"} {
		path, err := exec.LookPath(candidate)
		if err == nil && exec.Command(path, "-c", "import boto3").Run() == nil {
			return path
		}
	}
	t.Skip("needs a python3 that has boto3")
	return ""
}

// TestBoto3Queues runs testdata/boto3/queues.py: SQS over its JSON protocol.
func TestBoto3Queues(t *testing.T) {
	python := needBoto3(t)
	script, err := filepath.Abs("testdata/boto3/queues.py")
	if err != nil {
		t.Fatal(err)
	}
	h := house.Start(t)
	t.Log(run(t, h, t.TempDir(), python, script))
}
