package logs

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lambdad/lambdad/internal/store"
)

// Stream is a log stream. First, Last and Ingested are 0 while it has no events.
type Stream struct {
	Name     string
	ID       string
	Created  int64
	First    int64 `json:",omitempty"` // earliest event
	Last     int64 `json:",omitempty"` // latest event
	Ingested int64 `json:",omitempty"` // when the last batch came
	Events   bool  `json:",omitempty"` // there were events
	Bytes    int64 `json:",omitempty"` // of its chunks at rest
	// Span bounds how much time any of its chunks covers: how far before a moment a
	// reader must begin.
	Span int64 `json:",omitempty"`
}

const streamPrefix = "logs/s/"

// streamNameBytesMax of a name stand in its key; a longer name, which the service
// allows beyond ASCII, ends in its hash there.
const streamNameBytesMax = 800

func streamKey(group Group, name string) string {
	if len(name) > streamNameBytesMax {
		sum := sha256.Sum256([]byte(name))
		name = name[:streamNameBytesMax] + "\x00" + hex.EncodeToString(sum[:])
	}
	return streamPrefix + group.ID + "/" + name
}

// CreateStream makes a stream. ErrGroupNotFound, ErrStreamExists.
func (l *Logs) CreateStream(ctx context.Context, s Scope, group, name string) error {
	g, err := l.Group(ctx, s, group)
	if err != nil {
		return err
	}
	err = l.putStream(ctx, g, Stream{Name: name, ID: rand.Text(), Created: l.millis()}, store.IfAbsent(),
		store.Write{Kind: store.WriteCheck, Key: groupKey(s, group), If: store.IfExists()})
	if errors.Is(err, store.ErrConflict) {
		if _, err := l.Group(ctx, s, group); err != nil {
			return err
		}
		return fmt.Errorf("%q: %w", name, ErrStreamExists)
	}
	return err
}

func (l *Logs) putStream(ctx context.Context, g Group, st Stream, c store.Condition, also ...store.Write) error {
	w, err := streamWrite(g, st, c)
	if err != nil {
		return err
	}
	if _, err := l.store.Commit(ctx, append(also, w)...); err != nil {
		return fmt.Errorf("write log stream: %w", err)
	}
	return nil
}

func streamWrite(g Group, st Stream, c store.Condition) (store.Write, error) {
	value, err := json.Marshal(st)
	if err != nil {
		return store.Write{}, fmt.Errorf("encode log stream: %w", err)
	}
	return store.Write{Kind: store.WritePut, Key: streamKey(g, st.Name), Value: value, If: c}, nil
}

func (l *Logs) stream(ctx context.Context, g Group, name string) (Stream, store.Revision, error) {
	r, err := l.store.Get(ctx, streamKey(g, name))
	if errors.Is(err, store.ErrNotFound) {
		return Stream{}, 0, fmt.Errorf("%q: %w", name, ErrStreamNotFound)
	}
	if err != nil {
		return Stream{}, 0, fmt.Errorf("read log stream: %w", err)
	}
	st, err := decodeStream(r)
	return st, r.Revision, err
}

func decodeStream(r store.Record) (st Stream, err error) {
	if err := json.Unmarshal(r.Value, &st); err != nil {
		return st, fmt.Errorf("decode log stream %s: %w", r.Key, err)
	}
	return st, nil
}

// DeleteStream deletes a stream with its events. ErrGroupNotFound, ErrStreamNotFound.
func (l *Logs) DeleteStream(ctx context.Context, s Scope, group, name string) error {
	g, err := l.Group(ctx, s, group)
	if err != nil {
		return err
	}
	var grave string
	err = retryConflicts(func() error {
		st, r, err := l.stream(ctx, g, name)
		if err != nil {
			return err
		}
		grave = graveKey(s, g.ID, st.ID)
		_, err = l.store.Commit(ctx,
			store.Write{Kind: store.WriteDelete, Key: streamKey(g, name), If: store.IfRevision(r)},
			store.Write{Kind: store.WritePut, Key: grave})
		return err
	})
	if err != nil {
		return err
	}
	l.buryLater(ctx, grave)
	return nil
}

// StreamQuery asks for streams of a group.
type StreamQuery struct {
	Prefix     string
	ByTime     bool // of the last event, instead of by name
	Descending bool
	Token      string
	Limit      int
}

// Streams returns a page and the token of the next one, "" at the end.
// ErrGroupNotFound, ErrBadToken. It keeps no more than a page in memory.
func (l *Logs) Streams(ctx context.Context, s Scope, group string, q StreamQuery) (page []Stream, next string, err error) {
	g, err := l.Group(ctx, s, group)
	if err != nil {
		return nil, "", err
	}
	after, ok := q.decodeToken()
	if !ok {
		return nil, "", ErrBadToken
	}
	more := false
	err = l.eachStream(ctx, g, q.Prefix, func(st Stream) bool {
		if after != nil && q.compare(st, *after) <= 0 {
			return true
		}
		i, _ := slices.BinarySearchFunc(page, st, q.compare)
		if i >= q.Limit {
			more = true
			// Keys come in order of name, so that nothing later belongs before.
			return q.ByTime || q.Descending
		}
		page = slices.Insert(page, i, st)
		if len(page) > q.Limit {
			page, more = page[:q.Limit], true
		}
		return true
	})
	if err != nil {
		return nil, "", err
	}
	if more {
		next = q.encodeToken(page[len(page)-1])
	}
	return page, next, nil
}

func (l *Logs) eachStream(ctx context.Context, g Group, prefix string, do func(Stream) bool) error {
	inKey := prefix
	if len(inKey) > streamNameBytesMax {
		inKey = inKey[:streamNameBytesMax]
	}
	return l.each(ctx, streamPrefix+g.ID+"/"+inKey, "", func(r store.Record) (bool, error) {
		st, err := decodeStream(r)
		if err != nil || !strings.HasPrefix(st.Name, prefix) {
			return err == nil, err
		}
		return do(st), nil
	})
}

func (q StreamQuery) compare(a, b Stream) int {
	c := 0
	if q.ByTime {
		c = cmp.Compare(a.Last, b.Last)
	}
	c = cmp.Or(c, strings.Compare(a.Name, b.Name))
	if q.Descending {
		return -c
	}
	return c
}

// streamToken is the last stream of a page, and what it was a page of.
type streamToken struct {
	ByTime, Descending bool
	Name               string
	Last               int64
}

func (q StreamQuery) encodeToken(last Stream) string {
	// A struct of plain fields always encodes.
	b, _ := json.Marshal(streamToken{q.ByTime, q.Descending, last.Name, last.Last})
	return base64.RawURLEncoding.EncodeToString(b)
}

func (q StreamQuery) decodeToken() (*Stream, bool) {
	if q.Token == "" {
		return nil, true
	}
	var t streamToken
	b, err := base64.RawURLEncoding.DecodeString(q.Token)
	if err != nil || json.Unmarshal(b, &t) != nil || t.ByTime != q.ByTime || t.Descending != q.Descending {
		return nil, false
	}
	return &Stream{Name: t.Name, Last: t.Last}, true
}
