package frontend

import (
	"context"
	"errors"
	"testing"
	"time"

	api "github.com/lambdad/lambdad/internal/api/lambda"
)

// TestExtensionsCount: an invoke counts until its environment is free again, and its caller does not wait for that.
func TestExtensionsCount(t *testing.T) {
	f, i := setUp(t, 1)
	settled := make(chan struct{})
	i.result.Settled = settled
	if _, err := f.Invoke(context.Background(), newCall(), request("f", nil)); err != nil {
		t.Fatal(err)
	}
	var fault *api.TooManyRequestsException
	if _, err := f.Invoke(context.Background(), newCall(), request("f", nil)); !errors.As(err, &fault) {
		t.Fatalf("not counted while extensions work: %v", err)
	}
	close(settled)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		_, err := f.Invoke(context.Background(), newCall(), request("f", nil))
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("still counted:", err)
		}
	}
}
