package egress

import (
	"errors"
	"testing"

	"github.com/vishvananda/netlink"
)

// TestWhole: a list that was interrupted is asked for again, but not for ever.
func TestWhole(t *testing.T) {
	for _, c := range []struct {
		interrupted, asked int
		failed             error
	}{{0, 1, nil}, {3, 4, nil}, {listsMax, listsMax, netlink.ErrDumpInterrupted}} {
		asked := 0
		found, err := whole(func() ([]int, error) {
			if asked++; asked <= c.interrupted {
				return nil, netlink.ErrDumpInterrupted
			}
			return []int{1}, nil
		})
		if !errors.Is(err, c.failed) || asked != c.asked || (err == nil && len(found) != 1) {
			t.Errorf("%+v: asked %d times, %v, %v", c, asked, found, err)
		}
	}
}
