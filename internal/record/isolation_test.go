package record

import (
	"errors"
	"testing"

	"github.com/lambdad/lambdad/internal/aws"
)

func TestIsolationPolicy(t *testing.T) {
	const plain, strict = aws.AccountID("000000000000"), aws.AccountID("111111111111")
	p, err := NewIsolationPolicy("container", []string{"111111111111=gvisor"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		account aws.AccountID
		tag     string
		want    Isolation
		refused bool
	}{
		{plain, "", IsolationContainer, false},
		{plain, "container", IsolationContainer, false},
		{plain, "microvm", IsolationMicroVM, false},
		{plain, "chroot", IsolationContainer, true},
		{strict, "", IsolationGVisor, false},
		{strict, "container", IsolationGVisor, true},
		{strict, "gvisor", IsolationGVisor, false},
		{strict, "microvm", IsolationMicroVM, false},
	} {
		var tags map[string]string
		if c.tag != "" {
			tags = map[string]string{IsolationTag: c.tag}
		}
		if _, err := p.Choose(c.account, tags); errors.Is(err, ErrIsolation) != c.refused {
			t.Errorf("%s with tag %q: %v", c.account, c.tag, err)
		}
		if got := p.Of(c.account, tags); got != c.want {
			t.Errorf("%s with tag %q runs as %s, want %s", c.account, c.tag, got, c.want)
		}
	}
}

// A node's own default never makes an account fall below its floor, and a function may
// choose less than the default where its account lets it.
func TestIsolationDefaultAndFloor(t *testing.T) {
	p, err := NewIsolationPolicy("microvm", []string{"gvisor"})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Of("000000000000", nil); got != IsolationMicroVM {
		t.Errorf("untagged: %s", got)
	}
	if got := p.Of("000000000000", map[string]string{IsolationTag: "gvisor"}); got != IsolationGVisor {
		t.Errorf("tagged: %s", got)
	}
	if got := p.Used(); len(got) != 1 || got[0] != IsolationMicroVM {
		t.Errorf("used: %v", got)
	}
	if p.Of("000000000000", map[string]string{IsolationTag: "container"}) != IsolationMicroVM {
		t.Error("a tag below the floor counts")
	}
}

func TestNewIsolationPolicyRefuses(t *testing.T) {
	for _, c := range [][]string{{"vm"}, {"container", "vm"}, {"container", "12=gvisor"}, {"container", "=gvisor"}, {"container", "000000000000="}} {
		if _, err := NewIsolationPolicy(c[0], c[1:]); !errors.Is(err, ErrIsolation) {
			t.Errorf("%v: %v", c, err)
		}
	}
}
