package logs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lambdad/lambdad/internal/store"
)

// FiltersMax is the service's quota of metric filters in a group.
const FiltersMax = 100

// MetricFilter turns matching events into a metric. It is kept, and answered to
// those who ask.
type MetricFilter struct {
	Name      string
	Group     string
	Pattern   string
	Created   int64
	Metric    Metric
	Selection string   `json:",omitempty"`
	Emit      []string `json:",omitempty"`
	OnChanged bool     `json:",omitempty"` // on transformed logs
}

// Metric is what a filter counts up.
type Metric struct {
	Name, Namespace, Value string
	Default                *float64          `json:",omitempty"`
	Dimensions             map[string]string `json:",omitempty"`
	Unit                   string            `json:",omitempty"`
}

const filterPrefix = "logs/f/"

func filterKey(s Scope, g Group, name string) string {
	return filterPrefix + s.key() + g.ID + "/" + name
}

// PutFilter makes or replaces a filter. ErrGroupNotFound, ErrTooManyFilters.
func (l *Logs) PutFilter(ctx context.Context, s Scope, f MetricFilter) error {
	f.Created = l.millis()
	value, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode metric filter: %w", err)
	}
	return l.changeFilter(ctx, s, f.Group, f.Name, func(g *Group, exists bool) (store.WriteKind, error) {
		if !exists {
			if g.Filters >= FiltersMax {
				return 0, fmt.Errorf("%q has %d: %w", f.Group, g.Filters, ErrTooManyFilters)
			}
			g.Filters++
		}
		return store.WritePut, nil
	}, value)
}

// DeleteFilter deletes a filter. ErrGroupNotFound, ErrFilterNotFound.
func (l *Logs) DeleteFilter(ctx context.Context, s Scope, group, name string) error {
	return l.changeFilter(ctx, s, group, name, func(g *Group, exists bool) (store.WriteKind, error) {
		if !exists {
			return 0, fmt.Errorf("%q: %w", name, ErrFilterNotFound)
		}
		g.Filters = max(g.Filters-1, 0)
		return store.WriteDelete, nil
	}, nil)
}

// changeFilter writes a filter together with the group's count of them.
func (l *Logs) changeFilter(ctx context.Context, s Scope, group, name string,
	change func(g *Group, exists bool) (store.WriteKind, error), value []byte,
) error {
	return retryConflicts(func() error {
		g, r, err := l.group(ctx, s, group)
		if err != nil {
			return err
		}
		w := store.Write{Key: filterKey(s, g, name), Value: value, If: store.IfAbsent()}
		old, err := l.store.Get(ctx, w.Key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("read metric filter: %w", err)
		}
		if err == nil {
			w.If = store.IfRevision(old.Revision)
		}
		if w.Kind, err = change(&g, err == nil); err != nil {
			return err
		}
		return l.putGroup(ctx, s, g, store.IfRevision(r), w)
	})
}

// Filters returns the filters of a group, or with group "" of the scope, that
// match says yes to, in order of name. ErrGroupNotFound. There are at most
// FiltersMax in a group.
func (l *Logs) Filters(ctx context.Context, s Scope, group string, match func(MetricFilter) bool) ([]MetricFilter, error) {
	prefix := filterPrefix + s.key()
	if group != "" {
		g, err := l.Group(ctx, s, group)
		if err != nil {
			return nil, err
		}
		prefix = filterKey(s, g, "")
	}
	var filters []MetricFilter
	err := l.each(ctx, prefix, "", func(r store.Record) (bool, error) {
		var f MetricFilter
		if err := json.Unmarshal(r.Value, &f); err != nil {
			return false, fmt.Errorf("decode metric filter %s: %w", r.Key, err)
		}
		if match(f) {
			filters = append(filters, f)
		}
		return true, nil
	})
	slices.SortFunc(filters, func(a, b MetricFilter) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Group, b.Group))
	})
	return filters, err
}
