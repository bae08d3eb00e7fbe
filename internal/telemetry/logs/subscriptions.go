package logs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lambdad/lambdad/internal/store"
)

// SubscriptionsMax is the service's quota of subscription filters in a group.
const SubscriptionsMax = 2

// Subscription sends a group's matching events on as they come.
type Subscription struct {
	Name         string
	Group        string
	Pattern      string
	Destination  string // an ARN
	Distribution string
	Created      int64
}

const subscriptionPrefix = "logs/u/"

func subscriptionKey(s Scope, group, name string) string {
	return subscriptionPrefix + s.key() + group + "/" + name
}

// subscribers are the names of subscriptions by their groups' IDs. The map and what is in it are never changed.
type subscribers map[string][]string

// subscribersOf returns the subscriptions of a group, from memory. One node writes logs and subscriptions, so that
// it knows of every change.
func (l *Logs) subscribersOf(ctx context.Context, group string) ([]string, error) {
	if m := l.subscribed.Load(); m != nil {
		return (*m)[group], nil
	}
	l.subscribing.Lock()
	defer l.subscribing.Unlock()
	if err := l.loadSubscribers(ctx); err != nil {
		return nil, err
	}
	return (*l.subscribed.Load())[group], nil
}

// loadSubscribers reads them from the store once. Needs subscribing.
func (l *Logs) loadSubscribers(ctx context.Context) error {
	if l.subscribed.Load() != nil {
		return nil
	}
	m := subscribers{}
	err := l.each(ctx, subscriptionPrefix, "", func(r store.Record) (bool, error) {
		parts := strings.SplitN(strings.TrimPrefix(r.Key, subscriptionPrefix), "/", 4)
		if len(parts) != 4 {
			return false, fmt.Errorf("subscription key %q", r.Key)
		}
		m[parts[2]] = append(m[parts[2]], parts[3])
		return true, nil
	})
	if err != nil {
		return err
	}
	l.subscribed.Store(&m)
	return nil
}

// PutSubscription makes or replaces a subscription. ErrGroupNotFound, ErrTooManySubscriptions.
func (l *Logs) PutSubscription(ctx context.Context, s Scope, sub Subscription) error {
	return l.changeSubscription(ctx, s, sub.Group, func(g Group, names []string) (store.Write, []string, error) {
		if !slices.Contains(names, sub.Name) {
			if len(names) >= SubscriptionsMax {
				return store.Write{}, nil, fmt.Errorf("%q has %d: %w", sub.Group, len(names), ErrTooManySubscriptions)
			}
			names = append(slices.Clip(names), sub.Name)
		}
		sub.Created = l.millis()
		value, err := json.Marshal(sub)
		return store.Write{Kind: store.WritePut, Key: subscriptionKey(s, g.ID, sub.Name), Value: value}, names, err
	})
}

// DeleteSubscription deletes a subscription; what it has not delivered yet is dropped. ErrGroupNotFound, ErrSubscriptionNotFound.
func (l *Logs) DeleteSubscription(ctx context.Context, s Scope, group, name string) error {
	return l.changeSubscription(ctx, s, group, func(g Group, names []string) (store.Write, []string, error) {
		if !slices.Contains(names, name) {
			return store.Write{}, nil, fmt.Errorf("%q: %w", name, ErrSubscriptionNotFound)
		}
		left := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
		return store.Write{Kind: store.WriteDelete, Key: subscriptionKey(s, g.ID, name)}, left, nil
	})
}

// changeSubscription writes what change returns, and then the names to memory: events that come from now on meet it.
func (l *Logs) changeSubscription(ctx context.Context, s Scope, group string, change func(Group, []string) (store.Write, []string, error)) error {
	l.subscribing.Lock()
	defer l.subscribing.Unlock()
	if err := l.loadSubscribers(ctx); err != nil {
		return err
	}
	g, revision, err := l.group(ctx, s, group)
	if err != nil {
		return err
	}
	m := *l.subscribed.Load()
	w, names, err := change(g, m[g.ID])
	if err != nil {
		return err
	}
	// The group must be the same, and still there.
	check := store.Write{Kind: store.WriteCheck, Key: groupKey(s, group), If: store.IfRevision(revision)}
	if _, err := l.store.Commit(ctx, check, w); errors.Is(err, store.ErrConflict) {
		return ErrBusy
	} else if err != nil {
		return fmt.Errorf("write subscription: %w", err)
	}
	l.setSubscribers(g.ID, names)
	return nil
}

// setSubscribers puts a group's names into memory. Needs subscribing.
func (l *Logs) setSubscribers(group string, names []string) {
	m := maps.Clone(*l.subscribed.Load())
	if m[group] = names; len(names) == 0 {
		delete(m, group)
	}
	l.subscribed.Store(&m)
}

// forgetSubscribers is for a group that was deleted; its records are buried with it.
func (l *Logs) forgetSubscribers(group string) {
	l.subscribing.Lock()
	defer l.subscribing.Unlock()
	if l.subscribed.Load() != nil {
		l.setSubscribers(group, nil)
	}
}

// Subscriptions returns those of a group in order of name. ErrGroupNotFound. There are at most SubscriptionsMax.
func (l *Logs) Subscriptions(ctx context.Context, s Scope, group string) (all []Subscription, err error) {
	g, err := l.Group(ctx, s, group)
	if err != nil {
		return nil, err
	}
	err = l.each(ctx, subscriptionKey(s, g.ID, ""), "", func(r store.Record) (bool, error) {
		var sub Subscription
		if err := json.Unmarshal(r.Value, &sub); err != nil {
			return false, fmt.Errorf("decode subscription %s: %w", r.Key, err)
		}
		all = append(all, sub)
		return true, nil
	})
	return all, err
}
