package logs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lambdad/lambdad/internal/store"
)

// PoliciesMax is the service's quota of resource policies in a scope.
const PoliciesMax = 10

// Policy says who may do what with a scope's logs, beside what callers' own policies say.
type Policy struct {
	Name     string
	Document string
	Modified int64
}

const policyPrefix = "logs/p/"

func policyKey(s Scope, name string) string { return policyPrefix + s.key() + name }

// PutPolicy makes or replaces a policy, and returns it as it is kept. ErrTooManyPolicies.
func (l *Logs) PutPolicy(ctx context.Context, s Scope, p Policy) (Policy, error) {
	p.Modified = l.millis()
	value, err := json.Marshal(p)
	if err != nil {
		return p, fmt.Errorf("encode policy: %w", err)
	}
	l.policing.Lock()
	defer l.policing.Unlock()
	all, err := l.Policies(ctx, s)
	if err != nil {
		return p, err
	}
	others := 0
	for _, other := range all {
		if other.Name != p.Name {
			others++
		}
	}
	if others >= PoliciesMax {
		return p, fmt.Errorf("%d: %w", others, ErrTooManyPolicies)
	}
	_, err = l.store.Commit(ctx, store.Write{Key: policyKey(s, p.Name), Kind: store.WritePut, Value: value})
	return p, err
}

// DeletePolicy deletes a policy. ErrPolicyNotFound.
func (l *Logs) DeletePolicy(ctx context.Context, s Scope, name string) error {
	l.policing.Lock()
	defer l.policing.Unlock()
	if _, err := l.store.Get(ctx, policyKey(s, name)); errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%q: %w", name, ErrPolicyNotFound)
	} else if err != nil {
		return fmt.Errorf("read policy: %w", err)
	}
	_, err := l.store.Commit(ctx, store.Write{Key: policyKey(s, name), Kind: store.WriteDelete})
	return err
}

// Policies are the scope's, in order of name. There are at most PoliciesMax.
func (l *Logs) Policies(ctx context.Context, s Scope) (all []Policy, err error) {
	err = l.each(ctx, policyKey(s, ""), "", func(r store.Record) (bool, error) {
		var p Policy
		if err := json.Unmarshal(r.Value, &p); err != nil {
			return false, fmt.Errorf("decode policy %s: %w", r.Key, err)
		}
		all = append(all, p)
		return true, nil
	})
	return all, err
}
