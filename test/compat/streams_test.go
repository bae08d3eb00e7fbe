package compat

import (
	"path/filepath"
	"testing"

	"github.com/lambdad/lambdad/test/house"
)

// TestBoto3Streams runs testdata/boto3/streams.py: InvokeWithResponseStream and a URL that streams.
func TestBoto3Streams(t *testing.T) {
	python := needBoto3(t, 1, 28) // reads AWS_ENDPOINT_URL
	script, err := filepath.Abs("testdata/boto3/streams.py")
	if err != nil {
		t.Fatal(err)
	}
	h := house.Start(t)
	t.Log(run(t, h, t.TempDir(), python, script))
}
