package worker_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/lambdad/lambdad/internal/record/keys"
	"github.com/lambdad/lambdad/internal/worker"
	"github.com/lambdad/lambdad/internal/worker/workertest"
)

// TestSealedVariables: an environment has what its function's record holds sealed, and the record stays sealed; what
// does not open starts nothing.
func TestSealedVariables(t *testing.T) {
	ring, err := keys.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	h := newHost(t, workertest.Runtime(tells), func(o *worker.Options) { o.Keys = ring })
	fn := workertest.Function("f")
	if fn.Sealed, err = ring.Seal("", fn.ID.ARN(), map[string]string{"MINE": "1"}); err != nil {
		t.Fatal(err)
	}
	if err := h.Prepare(context.Background(), fn, ""); err != nil {
		t.Error(err)
	}
	e := h.start(t, fn)
	if vars := environmentOf(t, e); !slices.Contains(vars, "MINE=1") {
		t.Errorf("%q", vars)
	}
	e.Destroy()
	if fn.Environment != nil {
		t.Error("the shared record was opened")
	}
	other := workertest.Function("g") // whose envelope is another function's
	other.Sealed = fn.Sealed
	gone := workertest.Function("f")
	gone.Sealed, gone.KMSKeyARN = fn.Sealed, "arn:aws:kms:us-east-1:000000000000:key/gone"
	without := newHost(t, workertest.Runtime(tells), nil)
	for _, tt := range []struct {
		on   *host
		spec worker.StartSpec
		want error
	}{
		{h, worker.StartSpec{Function: other}, keys.ErrDenied},
		{h, worker.StartSpec{Function: gone}, keys.ErrNotFound},
		{without, worker.StartSpec{Function: fn}, nil},
	} {
		e, err := tt.on.Start(context.Background(), tt.spec)
		if err == nil {
			e.Destroy()
		}
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%v, want %v", err, tt.want)
		}
	}
}
