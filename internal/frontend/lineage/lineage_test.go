package lineage

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/record"
)

func function(name string) record.FunctionID {
	return record.FunctionID{Account: "000000000000", Region: "us-east-1", Name: name}
}

func TestNext(t *testing.T) {
	f, g := function("f"), function("g")
	hf, hg := hashOf(f), hashOf(g)
	for name, tc := range map[string]struct {
		header string
		next   string
		calls  int
	}{
		"none":                 {"", "Lineage=" + hf + ":0", 1},
		"first":                {"Root=1-a-b;Sampled=0", "Root=1-a-b;Sampled=0;Lineage=" + hf + ":0", 1},
		"again":                {"Root=1-a-b;Lineage=" + hf + ":3", "Root=1-a-b;Lineage=" + hf + ":4", 5},
		"another's":            {"Root=1;Lineage=" + hg + ":3", "Root=1;Lineage=" + hg + ":3|" + hf + ":0", 1},
		"both":                 {"Root=1;Lineage=" + hg + ":3|" + hf + ":0", "Root=1;Lineage=" + hg + ":3|" + hf + ":1", 2},
		"percent-encoded":      {"Root=1;Lineage=" + hg + ":3%7C" + hf + ":1", "Root=1;Lineage=" + hg + ":3|" + hf + ":2", 3},
		"the later form":       {"Root=1;Lineage=7:" + hf + ":2", "Root=1;Lineage=" + hf + ":3", 4},
		"in the middle":        {"Root=1;Lineage=" + hf + ":0;Sampled=1", "Root=1;Sampled=1;Lineage=" + hf + ":1", 2},
		"more than there is":   {"Lineage=" + hf + ":65535", "Lineage=" + hf + ":16", 17},
		"no number":            {"Lineage=" + hf + ":-1|" + hf + ":x|" + hf + ":99999", "Lineage=" + hf + ":0", 1},
		"no hash":              {"Lineage=zz:1|" + strings.ToUpper("abcdefab") + ":1|:", "Lineage=" + hf + ":0", 1},
		"twice":                {"Lineage=" + hf + ":2|" + hf + ":9", "Lineage=" + hf + ":3", 4},
		"longer than a header": {"Root=" + strings.Repeat("x", headerBytesMax), "Root=" + strings.Repeat("x", headerBytesMax) + ";Lineage=" + hf + ":0", 1},
	} {
		if next, calls := Next(tc.header, f); next != tc.next || calls != tc.calls {
			t.Errorf("%s: %q, %d, want %q, %d", name, next, calls, tc.next, tc.calls)
		}
	}
}

// TestLoops: each function of a loop is called CallsMax times before one call is too many,
// whatever the loop's length and however an SDK passes the header on.
func TestLoops(t *testing.T) {
	for _, length := range []int{1, 2, 5, entriesMax} {
		header, rounds := "Root=1-a-b;Parent=c;Sampled=0", 0
		for found := false; !found; rounds++ {
			for i := range length {
				var calls int
				if header, calls = Next(header, function(fmt.Sprint("f", i))); calls > CallsMax {
					found = true
					break
				}
				if length%2 == 0 {
					header = strings.ReplaceAll(header, "|", url.QueryEscape("|"))
				}
			}
		}
		if rounds != CallsMax+1 {
			t.Errorf("a loop of %d is found in round %d", length, rounds)
		}
	}
	// Chains without a loop never are.
	header := ""
	for i := range 1000 {
		var calls int
		if header, calls = Next(header, function(fmt.Sprint(i))); calls != 1 || len(header) > headerBytesMax {
			t.Fatalf("call %d of different functions counts %d: %q", i, calls, header)
		}
	}
}

func TestDeepest(t *testing.T) {
	h := hashOf(function("f"))
	a, b := "Root=a;Lineage="+h+":2", "Root=b;Lineage="+h+":5"
	for _, tc := range []struct {
		headers []string
		want    string
	}{{nil, ""}, {[]string{"", ""}, ""}, {[]string{"Root=a", "Root=b"}, "Root=a"}, {[]string{a, b, "Root=c"}, b}, {[]string{b, a}, b}} {
		if got := Deepest(tc.headers); got != tc.want {
			t.Errorf("%q: %q", tc.headers, got)
		}
	}
}

func FuzzNext(f *testing.F) {
	f.Add("Root=1-a-b;Lineage=a87bd80c:1|68fd508a:5|c512fbe3:2;Sampled=1")
	f.Add("Lineage=1:fe460cdd:0;Lineage=")
	f.Fuzz(func(t *testing.T, header string) {
		next, calls := Next(header, function("f"))
		if calls < 1 || calls > CallsMax+1 {
			t.Fatalf("%d calls", calls)
		}
		if len(next) > headerBytesMax {
			return
		}
		_, entries := split(next)
		if len(entries) < 1 || len(entries) > entriesMax {
			t.Fatalf("%d functions in %q", len(entries), next)
		}
		if _, again := Next(next, function("f")); again != min(calls+1, CallsMax+1) {
			t.Fatalf("the next call counts %d after %d", again, calls)
		}
	})
}
