package metering

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/store"
)

// Roll-ups are records "metering/<span>/<start>/<account>/<hash of the key>/<writer>".
const (
	prefix      = "metering/"
	startFormat = "2006-01-02T15:04Z"
	// pendingMax bounds the roll-ups that wait for a disk. Beyond it usage stays in the
	// counters, so that none is lost, only its minute.
	pendingMax = 1 << 17
	// commitWrites is how many roll-ups one commit holds.
	commitWrites = store.CommitWritesMax / 2
)

type spanName string

const (
	minutes spanName = "minute"
	hours   spanName = "hour"
	days    spanName = "day"
)

func (s spanName) length() time.Duration {
	switch s {
	case minutes:
		return time.Minute
	case hours:
		return time.Hour
	default:
		return 24 * time.Hour
	}
}

// slot is one roll-up of this process.
type slot struct {
	start time.Time
	key   Key
}

type pending struct {
	usage Usage
	dirty bool
}

// Flush makes everything durable that was counted before it. Usage belongs to the minute in
// which it is flushed.
func (m *Meter) Flush(ctx context.Context) error {
	m.flushing.Lock()
	defer m.flushing.Unlock()
	now := m.opts.Now().UTC().Truncate(time.Minute)
	if len(m.pending) < pendingMax {
		m.collect(func(k Key, u *Usage) {
			at := slot{now, k}
			p := m.pending[at]
			if p == nil {
				p = &pending{}
				m.pending[at] = p
			}
			p.usage.Add(u)
			p.dirty = true
		})
	}
	var writes []store.Write
	var written []slot
	commit := func() error {
		if len(writes) == 0 {
			return nil
		}
		if _, err := m.opts.Records.Commit(ctx, writes...); err != nil {
			return fmt.Errorf("metering: write usage: %w", err)
		}
		for _, at := range written {
			m.pending[at].dirty = false
		}
		writes, written = writes[:0], written[:0]
		return nil
	}
	for at, p := range m.pending {
		if !p.dirty {
			if at.start.Before(now) {
				delete(m.pending, at) // nothing more comes to that minute
			}
			continue
		}
		writes = append(writes, put(recordKey(minutes, at.start, at.key, m.writer), at.key, &p.usage))
		written = append(written, at)
		if len(writes) == commitWrites {
			if err := commit(); err != nil {
				return err
			}
		}
	}
	return commit()
}

// rolled is a roll-up's value.
type rolled struct {
	Key   Key   `json:"key"`
	Usage Usage `json:"usage"`
}

func put(name string, k Key, u *Usage) store.Write {
	value, err := json.Marshal(rolled{k, *u})
	if err != nil {
		panic("metering: numbers and strings that cannot be JSON: " + err.Error())
	}
	return store.Write{Kind: store.WritePut, Key: name, Value: value}
}

// recordKey names a roll-up. The key's hash stands for it: a tenant may be long, and may contain anything.
func recordKey(s spanName, start time.Time, k Key, writer string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{string(k.Region), k.Function, k.Version, k.Tenant, k.Architecture}, "\x00")))
	return spanPrefix(s) + start.Format(startFormat) + "/" + string(k.Account) + "/" + hex.EncodeToString(sum[:12]) + "/" + writer
}

func spanPrefix(s spanName) string { return prefix + string(s) + "/" }

// parse reads a roll-up back.
func parse(s spanName, r store.Record) (Entry, error) {
	rest := strings.TrimPrefix(r.Key, spanPrefix(s))
	text, _, ok := strings.Cut(rest, "/")
	start, err := time.Parse(startFormat, text)
	if !ok || err != nil {
		return Entry{}, fmt.Errorf("metering: a record has the name %q", r.Key)
	}
	var v rolled
	if err := json.Unmarshal(r.Value, &v); err != nil {
		return Entry{}, fmt.Errorf("metering: record %s: %w", r.Key, err)
	}
	return Entry{Start: start, Span: s.length(), Key: v.Key, Usage: v.Usage}, nil
}

// Read calls yield with every roll-up that begins in [from, to), whichever its span. Usage
// before the whole hours and days that are kept of older times is told with their start.
func Read(ctx context.Context, records store.Records, from, to time.Time, yield func(Entry) error) error {
	for _, s := range []spanName{days, hours, minutes} {
		err := scan(ctx, records, s, from, to, func(e Entry, _ store.Record) error { return yield(e) })
		if err != nil {
			return err
		}
	}
	return nil
}

func scan(ctx context.Context, records store.Records, s spanName, from, to time.Time, yield func(Entry, store.Record) error) error {
	from, to = from.UTC(), to.UTC()
	after := ""
	if !from.IsZero() {
		// A start is text that sorts as time does; one that began within the minute counts.
		after = spanPrefix(s) + from.Add(time.Minute-1).Truncate(time.Minute).Format(startFormat)
	}
	for {
		page, more, err := records.List(ctx, spanPrefix(s), after, store.ListLimitMax)
		if err != nil {
			return fmt.Errorf("metering: read usage: %w", err)
		}
		for _, r := range page {
			e, err := parse(s, r)
			if err != nil {
				return err
			}
			if !e.Start.Before(to) {
				return nil
			}
			if err := yield(e, r); err != nil {
				return err
			}
			after = r.Key
		}
		if !more {
			return nil
		}
	}
}
