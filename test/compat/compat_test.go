// Package compat drives a whole lambdad with the AWS clients that people use, unmodified:
// the aws CLI, boto3, the AWS SDKs for Go and JavaScript, and Terraform.
package compat

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/test/house"
)

func TestMain(m *testing.M) { os.Exit(house.Main(m)) }

// clientMax bounds one run of a client program.
const clientMax = 4 * time.Minute

// run runs a client program in dir and returns its stdout; stderr is in the failure's text.
func run(t *testing.T, h *house.House, dir string, name string, args ...string) string {
	t.Helper()
	out, err := try(t, h, dir, name, args...)
	if err != "" {
		t.Fatalf("%s %s: %s\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return out
}

// try is run for commands that may fail: the second result is "" or what went wrong, with stderr.
func try(t *testing.T, h *house.House, dir string, name string, args ...string) (stdout, failure string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), clientMax)
	defer cancel()
	cmd := h.Command(ctx, name, args...)
	cmd.Dir = dir
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), err.Error() + "\n" + errs.String()
	}
	return out.String(), ""
}

// needProgram finds a program on PATH or skips the test.
func needProgram(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("needs %s on PATH", name)
	}
	return path
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// writeFile puts content into the test's own folder and returns the path.
func writeFile(t *testing.T, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const pythonHandler = `
import json, os

def handler(event, context):
    print("got", json.dumps(event))
    if event.get("fail"):
        raise ValueError("asked to fail")
    return {"event": event, "version": context.function_version, "greeting": os.environ.get("GREETING", "")}
`

const trustPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
