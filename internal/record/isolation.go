package record

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lambdad/lambdad/internal/aws"
)

// IsolationTag is the tag that chooses a function's isolation.
const IsolationTag = "lambdad:isolation"

// Isolation is how strongly an environment is kept apart from the host and from others.
type Isolation string

// From the weakest to the strongest.
const (
	IsolationContainer Isolation = "container" // the host's kernel, filtered
	IsolationGVisor    Isolation = "gvisor"    // a kernel of its own in user space
	IsolationMicroVM   Isolation = "microvm"   // a machine of its own
)

// Isolations are all, from the weakest to the strongest.
func Isolations() []Isolation {
	return []Isolation{IsolationContainer, IsolationGVisor, IsolationMicroVM}
}

// ErrIsolation is returned (wrapped) for a choice of isolation that is not to be had.
var ErrIsolation = errors.New("isolation")

// ParseIsolation reads a name as users write it.
func ParseIsolation(s string) (Isolation, error) {
	if i := Isolation(s); slices.Contains(Isolations(), i) {
		return i, nil
	}
	return "", fmt.Errorf("%w %q: use one of %s", ErrIsolation, s, isolationNames())
}

// Weaker reports whether i keeps apart less than other.
func (i Isolation) Weaker(other Isolation) bool {
	return slices.Index(Isolations(), i) < slices.Index(Isolations(), other)
}

// IsolationPolicy is what an operator decided: how functions run that do not choose, and what
// none may fall below.
type IsolationPolicy struct {
	Default  Isolation                   // of functions without the tag
	Floor    Isolation                   // of every account; "" is the weakest
	Accounts map[aws.AccountID]Isolation // floors of single accounts, instead of Floor
}

// NewIsolationPolicy reads the forms of --isolation and --isolation-floor: a name for all
// accounts, or ACCOUNT=NAME for one.
func NewIsolationPolicy(byDefault string, floors []string) (IsolationPolicy, error) {
	p := IsolationPolicy{Accounts: map[aws.AccountID]Isolation{}}
	var err error
	if p.Default, err = ParseIsolation(byDefault); err != nil {
		return p, err
	}
	for _, f := range floors {
		account, name, one := strings.Cut(f, "=")
		if !one {
			name = f
		}
		floor, err := ParseIsolation(name)
		if err != nil {
			return p, err
		}
		if !one {
			p.Floor = floor
			continue
		}
		id := aws.AccountID(account)
		if !id.Valid() {
			return p, fmt.Errorf("%w floor %q: an account is twelve digits", ErrIsolation, f)
		}
		p.Accounts[id] = floor
	}
	return p, nil
}

// FloorOf is what the functions of an account may not fall below.
func (p IsolationPolicy) FloorOf(account aws.AccountID) Isolation {
	floor, ok := p.Accounts[account]
	if !ok {
		floor = p.Floor
	}
	if floor == "" {
		floor = IsolationContainer
	}
	return floor
}

// Choose is how a function of an account with these tags is to run; the error says that its tag
// names nothing, or less than the account's floor.
func (p IsolationPolicy) Choose(account aws.AccountID, tags map[string]string) (Isolation, error) {
	floor := p.FloorOf(account)
	tag, tagged := tags[IsolationTag]
	if !tagged {
		if p.Default.Weaker(floor) {
			return floor, nil
		}
		return p.Default, nil
	}
	chosen, err := ParseIsolation(tag)
	if err != nil {
		return "", err
	}
	if chosen.Weaker(floor) {
		return "", fmt.Errorf("%w %s is weaker than %s, which is the least for account %s", ErrIsolation, chosen, floor, account)
	}
	return chosen, nil
}

// Of is how a stored function runs. A tag that an operator forbade since never weakens it.
func (p IsolationPolicy) Of(account aws.AccountID, tags map[string]string) Isolation {
	chosen, err := p.Choose(account, tags)
	if err != nil {
		untagged, _ := p.Choose(account, nil) // without a tag there is no error
		return untagged
	}
	return chosen
}

// Used are the isolations that some function may need whatever its tags say, from the weakest.
func (p IsolationPolicy) Used() []Isolation {
	used := map[Isolation]bool{p.Of("", nil): true}
	for account := range maps.Keys(p.Accounts) {
		used[p.Of(account, nil)] = true
	}
	var out []Isolation
	for _, i := range Isolations() {
		if used[i] {
			out = append(out, i)
		}
	}
	return out
}

func isolationNames() string {
	var names []string
	for _, i := range Isolations() {
		names = append(names, string(i))
	}
	return strings.Join(names, ", ")
}
