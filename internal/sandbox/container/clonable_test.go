package container

import (
	"slices"
	"testing"

	"github.com/lambdad/lambdad/internal/sandbox/container/clone"
)

func TestParseTimers(t *testing.T) {
	const ruby = "ID: 0\nsignal: 26/00007fd6061b1200\nnotify: signal/pid.24457\nClockID: 1\n"
	const second = "ID: 1\nsignal: 10/0000000000000000\nnotify: signal/pid.24457\nClockID: 0\n"
	first := clone.Timer{Clock: 1, Signal: 26, Value: 0x7fd6061b1200}
	for _, c := range []struct {
		text string
		want []clone.Timer
		ok   bool
	}{
		{"", nil, true},
		{ruby, []clone.Timer{first}, true},
		{second + ruby, []clone.Timer{first, {ID: 1, Signal: 10}}, true},
		{second, nil, false}, // the copy's would be number 0
		{"ID: 0\nsignal: 26/0\nnotify: thread/tid.3\nClockID: 1\n", nil, false},
		{"signal: 26/0\n", nil, false},
		{"ID: x\n", nil, false},
	} {
		got, err := parseTimers(c.text)
		if (err == nil) != c.ok || (c.ok && !slices.Equal(got, c.want)) {
			t.Errorf("%q: %v, %v", c.text, got, err)
		}
	}
}

func TestProcAddress(t *testing.T) {
	if got, err := procAddress("127.0.0.1:9001"); got != "0100007F:2329" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", "127.0.0.1", "[::1]:1", "127.0.0.1:70000"} {
		if got, err := procAddress(bad); err == nil {
			t.Errorf("%q: %q", bad, got)
		}
	}
}
