package mem_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/mem"
	"github.com/lambdad/lambdad/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSuite(t *testing.T) {
	open := func(o mem.Options) func(*testing.T, *storetest.Clock) store.Store {
		return func(t *testing.T, clock *storetest.Clock) store.Store {
			o := o
			o.Now = clock.Now
			s := mem.NewWith(o)
			t.Cleanup(func() { s.Close() })
			return s
		}
	}
	storetest.Run(t, storetest.Subject{
		Open:         open(mem.Options{}),
		OpenShortLog: open(mem.Options{LogCommitsMax: 8}),
	})
}
