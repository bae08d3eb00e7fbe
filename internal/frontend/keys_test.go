package frontend

import (
	"errors"
	"fmt"
	"testing"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/assignment"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/record/keys"
	"github.com/lambdad/lambdad/internal/wire"
)

type keyFake struct{ err error }

func (k *keyFake) Usable(keyARN, account string) error {
	if keyARN != "arn:key" || account != "000000000000" {
		return errors.New("asked for something else")
	}
	return k.err
}

// A key that cannot be used is told before the function runs; one whose envelope does not open when the
// environment is made, the same way.
func TestKeyFaults(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code string
	}{
		{keys.ErrNotFound, "KMSNotFoundException"},
		{keys.ErrDisabled, "KMSDisabledException"},
		{keys.ErrState, "KMSInvalidStateException"},
		{keys.ErrDenied, "KMSAccessDeniedException"},
	} {
		f, i := setUp(t, 10)
		fn := function("sealed", record.Latest, record.StateActive)
		fn.Sealed, fn.KMSKeyARN = []byte("x"), "arn:key"
		f.functions.(*view).known["sealed:$LATEST"] = fn
		k := &keyFake{}
		f.keys = k
		invoke := func() error {
			_, err := f.Invoke(t.Context(), &wire.Call{Account: "000000000000", Region: "us-east-1"}, &api.InvocationRequest{FunctionName: wire.Ptr("sealed")})
			return err
		}
		if err := invoke(); err != nil || i.fn == nil {
			t.Fatal(err)
		}
		i.fn, k.err = nil, fmt.Errorf("x: %w", tt.err)
		check := func() {
			t.Helper()
			var fault wire.Fault
			if err := invoke(); !errors.As(err, &fault) || fault.FaultCode() != tt.code || fault.FaultStatus() != 502 {
				t.Errorf("%v, want %s", err, tt.code)
			}
		}
		if check(); i.fn != nil {
			t.Error("it ran")
		}
		k.err, i.err = nil, fmt.Errorf("%w: %w", assignment.ErrStart, tt.err)
		check()
	}
}
