package logs

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/lambdad/lambdad/internal/store"
)

// Group is a log group. ID is of this life of the group: one that is deleted
// and made again shares nothing with its forerunner.
type Group struct {
	Name          string
	ID            string
	Created       int64
	RetentionDays int `json:",omitempty"` // 0: for ever
	Class         string
	Tags          map[string]string `json:",omitempty"`
	Filters       int               `json:",omitempty"` // how many metric filters
	Protected     bool              `json:",omitempty"` // from deletion
}

const groupPrefix = "logs/g/"

func groupKey(s Scope, name string) string { return groupPrefix + s.key() + name }

// CreateGroup makes the group of that name. ErrGroupExists.
func (l *Logs) CreateGroup(ctx context.Context, s Scope, g Group) error {
	g.ID, g.Created = rand.Text(), l.millis()
	err := l.putGroup(ctx, s, g, store.IfAbsent())
	if errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("%q: %w", g.Name, ErrGroupExists)
	}
	return err
}

func (l *Logs) putGroup(ctx context.Context, s Scope, g Group, c store.Condition, also ...store.Write) error {
	value, err := json.Marshal(g)
	if err != nil {
		return fmt.Errorf("encode log group: %w", err)
	}
	w := store.Write{Kind: store.WritePut, Key: groupKey(s, g.Name), Value: value, If: c}
	if _, err := l.store.Commit(ctx, append(also, w)...); err != nil {
		return fmt.Errorf("write log group: %w", err)
	}
	return nil
}

// Group returns a group. ErrGroupNotFound.
func (l *Logs) Group(ctx context.Context, s Scope, name string) (Group, error) {
	g, _, err := l.group(ctx, s, name)
	return g, err
}

func (l *Logs) group(ctx context.Context, s Scope, name string) (Group, store.Revision, error) {
	r, err := l.store.Get(ctx, groupKey(s, name))
	if errors.Is(err, store.ErrNotFound) {
		return Group{}, 0, fmt.Errorf("%q: %w", name, ErrGroupNotFound)
	}
	if err != nil {
		return Group{}, 0, fmt.Errorf("read log group: %w", err)
	}
	g, err := decodeGroup(r)
	return g, r.Revision, err
}

func decodeGroup(r store.Record) (g Group, err error) {
	if err := json.Unmarshal(r.Value, &g); err != nil {
		return g, fmt.Errorf("decode log group %s: %w", r.Key, err)
	}
	return g, nil
}

// UpdateGroup changes a group's retention, tags or protection. ErrGroupNotFound,
// or what change returns.
func (l *Logs) UpdateGroup(ctx context.Context, s Scope, name string, change func(*Group) error) error {
	return retryConflicts(func() error {
		g, r, err := l.group(ctx, s, name)
		if err != nil {
			return err
		}
		if err := change(&g); err != nil {
			return err
		}
		return l.putGroup(ctx, s, g, store.IfRevision(r))
	})
}

// Groups calls do for the scope's groups whose names have the prefix and are
// greater than after, in order of name, until it returns false.
func (l *Logs) Groups(ctx context.Context, s Scope, prefix, after string, do func(Group) bool) error {
	if after != "" {
		after = groupKey(s, after)
	}
	return l.each(ctx, groupKey(s, prefix), after, func(r store.Record) (bool, error) {
		g, err := decodeGroup(r)
		return err == nil && do(g), err
	})
}

// StoredBytes is how much the events of a group take at rest.
func (l *Logs) StoredBytes(ctx context.Context, g Group) (bytes int64, err error) {
	err = l.eachStream(ctx, g, "", func(st Stream) bool {
		bytes += st.Bytes
		return true
	})
	return bytes, err
}

// DeleteGroup deletes a group with all that is in it. ErrGroupNotFound, or what
// may returns.
func (l *Logs) DeleteGroup(ctx context.Context, s Scope, name string, may func(Group) error) error {
	var grave, id string
	err := retryConflicts(func() error {
		g, r, err := l.group(ctx, s, name)
		if err != nil {
			return err
		}
		if err := may(g); err != nil {
			return err
		}
		grave, id = graveKey(s, g.ID, ""), g.ID
		_, err = l.store.Commit(ctx,
			store.Write{Kind: store.WriteDelete, Key: groupKey(s, name), If: store.IfRevision(r)},
			store.Write{Kind: store.WritePut, Key: grave})
		return err
	})
	if err != nil {
		return err
	}
	l.forgetSubscribers(id)
	l.buryLater(ctx, grave)
	return nil
}

// A grave is the record of a deleted group or stream whose contents have still
// to be removed; the sweeper goes on after a crash.
const gravePrefix = "logs/t/"

func graveKey(s Scope, group, stream string) string {
	return gravePrefix + s.key() + group + "/" + stream
}

// buryLater removes the contents now; what it cannot, the sweeper will.
func (l *Logs) buryLater(ctx context.Context, grave string) {
	if err := l.bury(ctx, grave); err != nil {
		l.log.Warn("deleted log events are removed later", "error", err)
	}
}

func (l *Logs) bury(ctx context.Context, grave string) error {
	account, rest, _ := strings.Cut(strings.TrimPrefix(grave, gravePrefix), "/")
	region, rest, _ := strings.Cut(rest, "/")
	group, stream, ok := strings.Cut(rest, "/")
	if !ok || group == "" {
		return fmt.Errorf("grave %q has no group", grave)
	}
	prefixes := []string{chunkPrefix + group + "/" + stream + "/"}
	if stream == "" {
		prefixes = []string{
			chunkPrefix + group + "/",
			streamPrefix + group + "/",
			filterPrefix + account + "/" + region + "/" + group + "/",
			subscriptionPrefix + account + "/" + region + "/" + group + "/",
		}
	}
	for _, prefix := range prefixes {
		if err := l.deleteAll(ctx, prefix, func(store.Record) bool { return true }); err != nil {
			return err
		}
	}
	_, err := l.store.Commit(ctx, store.Write{Kind: store.WriteDelete, Key: grave})
	return err
}

// deleteBatch is how many records one commit deletes.
const deleteBatch = 256

// deleteAll deletes the records with the prefix until one is not to be deleted.
func (l *Logs) deleteAll(ctx context.Context, prefix string, doomed func(store.Record) bool) error {
	for {
		page, more, err := l.store.List(ctx, prefix, "", deleteBatch)
		if err != nil {
			return fmt.Errorf("delete %s: %w", prefix, err)
		}
		var writes []store.Write
		for _, r := range page {
			if !doomed(r) {
				more = false
				break
			}
			writes = append(writes, store.Write{Kind: store.WriteDelete, Key: r.Key})
		}
		if len(writes) == 0 {
			return nil
		}
		if _, err := l.store.Commit(ctx, writes...); err != nil {
			return fmt.Errorf("delete %s: %w", prefix, err)
		}
		if !more {
			return nil
		}
	}
}
