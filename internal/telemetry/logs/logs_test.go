package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/mem"
	"github.com/lambdad/lambdad/internal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var scope = Scope{Account: "000000000000", Region: "us-east-1"}

// base is a round moment that all tests' events are near.
const base = int64(1_767_225_600_000)

type clock struct{ millis atomic.Int64 }

func (c *clock) Now() time.Time          { return time.UnixMilli(c.millis.Load()) }
func (c *clock) Advance(d time.Duration) { c.millis.Add(d.Milliseconds()) }

func open(t *testing.T) (*Logs, *clock, *mem.Store) {
	t.Helper()
	c := &clock{}
	c.millis.Store(base)
	s := mem.New()
	l := Open(s, Options{Now: c.Now, Log: slog.New(slog.DiscardHandler), FlushEvery: time.Millisecond})
	t.Cleanup(func() {
		l.Close(context.Background())
		s.Close()
	})
	return l, c, s
}

func made(t *testing.T, streams ...string) (*Logs, *clock, *mem.Store) {
	t.Helper()
	l, c, s := open(t)
	if err := l.CreateGroup(t.Context(), scope, Group{Name: "g", Class: ClassStandard}); err != nil {
		t.Fatal(err)
	}
	for _, name := range streams {
		if err := l.CreateStream(t.Context(), scope, "g", name); err != nil {
			t.Fatal(err)
		}
	}
	return l, c, s
}

func put(t *testing.T, l *Logs, stream string, events ...Event) {
	t.Helper()
	if err := l.Put(t.Context(), scope, "g", stream, events); err != nil {
		t.Fatal(err)
	}
}

func at(offset int64, message string) Event { return Event{Time: base + offset, Message: message} }

func messages(events []Event) []string {
	out := make([]string, len(events))
	for i, e := range events {
		out[i] = e.Message
	}
	return out
}

func TestForwardAndBackward(t *testing.T) {
	l, _, _ := made(t, "s")
	var want []string
	for i := range 25 {
		put(t, l, "s", at(int64(i)*100_000, fmt.Sprint(i))) // far apart: many chunks and stretches
		want = append(want, fmt.Sprint(i))
	}
	read := func(q EventsQuery) EventsPage {
		t.Helper()
		p, err := l.Events(t.Context(), scope, "g", "s", q)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	var got []string
	token := ""
	for {
		p := read(EventsQuery{FromHead: true, Limit: 7, Token: token})
		got = append(got, messages(p.Events)...)
		if p.Forward == token {
			break
		}
		token = p.Forward
	}
	if !slices.Equal(got, want) {
		t.Errorf("forwards %v", got)
	}
	put(t, l, "s", at(9_000_000, "later"))
	if p := read(EventsQuery{Limit: 7, Token: token}); !slices.Equal(messages(p.Events), []string{"later"}) {
		t.Errorf("the token at the end told %v of what came later", messages(p.Events))
	}
	want, got, token = append(want, "later"), nil, ""
	for {
		p := read(EventsQuery{Limit: 7, Token: token})
		got = append(messages(p.Events), got...)
		if p.Backward == token {
			break
		}
		token = p.Backward
	}
	if !slices.Equal(got, want) {
		t.Errorf("backwards %v", got)
	}
	p := read(EventsQuery{FromHead: true, Start: base + 200_000, End: base + 500_000, Limit: 100})
	if !slices.Equal(messages(p.Events), []string{"2", "3", "4"}) {
		t.Errorf("between times %v", messages(p.Events))
	}
	p = read(EventsQuery{Start: base + 200_000, End: base + 500_000, Limit: 2})
	if !slices.Equal(messages(p.Events), []string{"3", "4"}) {
		t.Errorf("the last between times %v", messages(p.Events))
	}
	for _, bad := range []string{"x", "f/1/s", "f/" + strings.Repeat("9", 56) + "/s", "g/" + strings.Repeat("0", 56) + "/s"} {
		if _, err := l.Events(t.Context(), scope, "g", "s", EventsQuery{Token: bad, Limit: 1}); !errors.Is(err, ErrBadToken) {
			t.Errorf("token %q: %v", bad, err)
		}
	}
}

func TestEmptyStreamKeepsItsTokens(t *testing.T) {
	l, _, _ := made(t, "s")
	for _, head := range []bool{true, false} {
		p, err := l.Events(t.Context(), scope, "g", "s", EventsQuery{FromHead: head, Limit: 10})
		if err != nil || len(p.Events) != 0 {
			t.Fatalf("%v %v", p, err)
		}
		again, err := l.Events(t.Context(), scope, "g", "s", EventsQuery{Token: p.Forward, Limit: 10})
		if err != nil || again.Forward != p.Forward {
			t.Errorf("token %s became %s, %v", p.Forward, again.Forward, err)
		}
	}
}

// TestOrder puts events that overlap in time in many batches and reads them back.
func TestOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	l, _, _ := made(t, "a", "b", "c")
	byStream := make(map[string][]Event)
	var all []int64
	for i := range 120 {
		stream := string("abc"[i%3])
		var batch []Event
		for j := range 1 + random.IntN(20) {
			e := at(random.Int64N(3_000_000), fmt.Sprintf("%s %d %d", stream, i, j))
			batch = append(batch, e)
			all = append(all, e.Time)
		}
		byStream[stream] = append(byStream[stream], batch...)
		put(t, l, stream, batch...)
	}
	slices.Sort(all)
	for stream, events := range byStream {
		p, err := l.Events(t.Context(), scope, "g", stream, EventsQuery{FromHead: true, Limit: 10_000})
		if err != nil || len(p.Events) != len(events) || !slices.IsSortedFunc(p.Events, func(a, b Event) int { return a.At.Compare(b.At) }) {
			t.Errorf("%s: %d of %d events, %v", stream, len(p.Events), len(events), err)
		}
	}
	var times []int64
	seen := make(map[string]bool)
	token := ""
	for {
		found, next, err := l.Search(t.Context(), scope, "g", Search{Limit: 13, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			times = append(times, f.Time)
			if seen[f.Message] || !strings.HasPrefix(f.Message, f.Stream) {
				t.Fatalf("%q from %s again, or from elsewhere", f.Message, f.Stream)
			}
			seen[f.Message] = true
		}
		if token = next; token == "" {
			break
		}
	}
	if !slices.Equal(times, all) {
		t.Errorf("search found %d of %d events in order of time: %v", len(times), len(all), slices.IsSorted(times))
	}
	found, _, err := l.Search(t.Context(), scope, "g", Search{Streams: []string{"b"}, Start: base + 1000, End: base + 900_000,
		Limit: 10_000, Match: func(m string) bool { return strings.HasSuffix(m, " 0") }})
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, e := range byStream["b"] {
		if strings.HasSuffix(e.Message, " 0") && e.Time >= base+1000 && e.Time < base+900_000 {
			want++
		}
	}
	if len(found) != want {
		t.Errorf("search with everything found %d, want %d", len(found), want)
	}
	if _, _, err := l.Search(t.Context(), scope, "g", Search{Streams: []string{"none"}, Limit: 1}); !errors.Is(err, ErrStreamNotFound) {
		t.Errorf("search of no stream: %v", err)
	}
	if _, _, err := l.Search(t.Context(), scope, "g", Search{Token: "unknown", Limit: 1}); !errors.Is(err, ErrBadToken) {
		t.Errorf("search with a strange token: %v", err)
	}
}

func streamID(group, stream string) telemetry.LogStreamID {
	return telemetry.LogStreamID{Account: scope.Account, Region: scope.Region, Group: group, Stream: stream}
}

func TestAppend(t *testing.T) {
	l, c, _ := open(t)
	const functions, lines = 12, 200
	var wg sync.WaitGroup
	for f := range functions {
		wg.Go(func() {
			for i := range lines {
				err := l.Append(t.Context(), streamID(fmt.Sprintf("/aws/lambda/f%d", f), "2026/01/01/[$LATEST]x"),
					telemetry.LogEvent{Time: c.Now(), Message: fmt.Sprint(i)})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for f := range functions {
		p, err := l.Events(t.Context(), scope, fmt.Sprintf("/aws/lambda/f%d", f), "2026/01/01/[$LATEST]x", EventsQuery{FromHead: true, Limit: 1000})
		if err != nil || len(p.Events) != lines {
			t.Fatalf("function %d: %d lines, %v", f, len(p.Events), err)
		}
		for i, e := range p.Events {
			if e.Message != fmt.Sprint(i) {
				t.Fatalf("function %d: line %d is %q", f, i, e.Message)
			}
		}
	}
}

func TestAppendOutlivesDeletion(t *testing.T) {
	l, c, _ := open(t)
	id := streamID("g", "s")
	line := func(m string) {
		t.Helper()
		if err := errors.Join(l.Append(t.Context(), id, telemetry.LogEvent{Time: c.Now(), Message: m}), l.Flush(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	line("one")
	if err := l.DeleteStream(t.Context(), scope, "g", "s"); err != nil {
		t.Fatal(err)
	}
	line("two")
	if err := l.DeleteGroup(t.Context(), scope, "g", func(Group) error { return nil }); err != nil {
		t.Fatal(err)
	}
	line("three")
	p, err := l.Events(t.Context(), scope, "g", "s", EventsQuery{FromHead: true, Limit: 10})
	if err != nil || !slices.Equal(messages(p.Events), []string{"three"}) {
		t.Errorf("%v %v", messages(p.Events), err)
	}
}

func TestAppendCutsLongLinesAndStrangeTimes(t *testing.T) {
	l, c, _ := open(t)
	id := streamID("g", "s")
	long := strings.Repeat("é", lineBytesMax/2+10)
	if err := l.Append(t.Context(), id, telemetry.LogEvent{Time: c.Now(), Message: "x" + long}); err != nil {
		t.Fatal(err)
	}
	// Each event is so far from the next that it takes a chunk of its own.
	for i := range 1500 {
		if err := l.Append(t.Context(), id, telemetry.LogEvent{Time: c.Now().Add(time.Duration(i) * time.Hour), Message: "y"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := l.Events(t.Context(), scope, "g", "s", EventsQuery{FromHead: true, Limit: 10_000})
	if err != nil || len(p.Events) != 1502 {
		t.Fatalf("%d events, %v", len(p.Events), err)
	}
	if got := p.Events[0].Message + p.Events[1].Message; got != "x"+long {
		t.Error("the long line's parts do not make the line")
	}
}

// fullStore refuses to write while it is full.
type fullStore struct {
	store.Store
	full atomic.Bool
}

func (s *fullStore) Commit(ctx context.Context, writes ...store.Write) (store.Revision, error) {
	if s.full.Load() {
		return 0, store.ErrFull
	}
	return s.Store.Commit(ctx, writes...)
}

func TestFullQueueWaits(t *testing.T) {
	m := mem.New()
	defer m.Close()
	s := &fullStore{Store: m}
	s.full.Store(true)
	var told bytes.Buffer
	l := Open(s, Options{Log: slog.New(slog.NewTextHandler(&told, nil)), FlushEvery: time.Millisecond})
	defer func() { l.Close(context.Background()) }()
	line := telemetry.LogEvent{Time: time.UnixMilli(base), Message: strings.Repeat("l", 64<<10)}
	n := 0
	for ; ; n++ {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		err := l.Append(ctx, streamID("g", "flood"), line)
		cancel()
		if err != nil {
			break
		}
		if n > 1000 {
			t.Fatal("the queue has no bound")
		}
	}
	// Another function is not held up.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := l.Append(ctx, streamID("g", "calm"), line); err != nil {
		t.Error(err)
	}
	time.Sleep(2*retryAfter + retryAfter/2) // two more attempts, at least one on a slow machine
	s.full.Store(false)
	if err := l.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	defer func() { // when the writer has ended
		if n := strings.Count(told.String(), "wait for the store"); n != 1 {
			t.Errorf("told %d times that the store is full", n)
		}
	}()
	defer func() { l.Close(context.Background()) }()
	p, err := l.Events(ctx, scope, "g", "flood", EventsQuery{FromHead: true, Limit: 10_000})
	if err != nil || len(p.Events) == 0 {
		t.Fatal(err)
	}
	found, token := 0, ""
	for {
		page, next, err := l.Search(ctx, scope, "g", Search{Limit: 10_000, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		found += len(page)
		if token = next; token == "" {
			break
		}
	}
	if found != n+1 {
		t.Errorf("%d lines are durable of %d taken", found, n+1)
	}
}

func TestRetention(t *testing.T) {
	l, c, s := made(t, "s")
	put(t, l, "s", at(0, "old"), at(3_600_000*40, "new"))
	if err := l.UpdateGroup(t.Context(), scope, "g", func(g *Group) error { g.RetentionDays = 1; return nil }); err != nil {
		t.Fatal(err)
	}
	c.Advance(41 * time.Hour)
	p, err := l.Events(t.Context(), scope, "g", "s", EventsQuery{FromHead: true, Limit: 10})
	if err != nil || !slices.Equal(messages(p.Events), []string{"new"}) {
		t.Errorf("before the sweep: %v %v", messages(p.Events), err)
	}
	count := func() (n int) {
		page, _, err := s.List(t.Context(), chunkPrefix, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		var bytes int64
		for _, r := range page {
			bytes += int64(len(r.Value))
		}
		if g, err := l.Group(t.Context(), scope, "g"); err != nil {
			t.Error(err)
		} else if stored, err := l.StoredBytes(t.Context(), g); err != nil || stored != bytes {
			t.Errorf("stored bytes %d %v, want %d", stored, err, bytes)
		}
		return len(page)
	}
	if n := count(); n != 2 {
		t.Fatalf("%d chunks, want 2", n)
	}
	if err := l.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 1 {
		t.Errorf("%d chunks after the sweep, want 1", n)
	}
	streams, _, err := l.Streams(t.Context(), scope, "g", StreamQuery{Limit: 1})
	if err != nil || streams[0].First != base+3_600_000*40 {
		t.Errorf("the first event after the sweep: %+v %v", streams, err)
	}
	c.Advance(48 * time.Hour)
	if err := l.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 0 {
		t.Errorf("%d chunks when all have expired", n)
	}
}

func TestDeletionLeavesNothing(t *testing.T) {
	l, _, s := made(t, "s", "t")
	put(t, l, "s", at(0, "x"))
	put(t, l, "t", at(0, "x"))
	if err := l.PutFilter(t.Context(), scope, MetricFilter{Name: "f", Group: "g"}); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	if err := l.DeleteGroup(t.Context(), scope, "g", func(Group) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("refused deletion: %v", err)
	}
	if err := l.DeleteGroup(t.Context(), scope, "g", func(Group) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if page, _, err := s.List(t.Context(), "logs/", "", 10); err != nil || len(page) != 0 {
		t.Errorf("left behind: %v %v", page, err)
	}
	// A deletion that was cut short is finished by the sweep.
	if _, err := s.Commit(t.Context(), store.Write{Key: graveKey(scope, "G", "S")},
		store.Write{Key: chunkKey("G", "S", base, 1)}, store.Write{Key: chunkKey("G", "S2", base, 1)}); err != nil {
		t.Fatal(err)
	}
	if err := l.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if page, _, err := s.List(t.Context(), "logs/", "", 10); err != nil || len(page) != 1 {
		t.Errorf("the sweep left %v %v", page, err)
	}
}

func TestStreamPages(t *testing.T) {
	l, _, _ := made(t, "a", "b", "c", "d", "e", strings.Repeat("語", 500)+"1", strings.Repeat("語", 500)+"2")
	for i, name := range []string{"c", "a", "e"} {
		put(t, l, name, at(int64(i), "x"))
	}
	names := func(q StreamQuery) (out []string) {
		for {
			page, next, err := l.Streams(t.Context(), scope, "g", q)
			if err != nil {
				t.Fatal(err)
			}
			for _, st := range page {
				out = append(out, st.Name[:1])
			}
			if q.Token = next; next == "" {
				return out
			}
		}
	}
	for _, c := range []struct {
		q    StreamQuery
		want string
	}{
		{StreamQuery{Limit: 2}, "abcde\xe8\xe8"},
		{StreamQuery{Limit: 3, Descending: true}, "\xe8\xe8edcba"},
		{StreamQuery{Limit: 2, ByTime: true, Descending: true}, "eac\xe8\xe8db"},
		{StreamQuery{Limit: 50, Prefix: "b"}, "b"},
		{StreamQuery{Limit: 1, Prefix: strings.Repeat("語", 500)}, "\xe8\xe8"},
		{StreamQuery{Limit: 1, Prefix: strings.Repeat("語", 500) + "2"}, "\xe8"},
	} {
		if got := strings.Join(names(c.q), ""); got != c.want {
			t.Errorf("%+v: %q, want %q", c.q, got, c.want)
		}
	}
	if _, _, err := l.Streams(t.Context(), scope, "g", StreamQuery{Token: "?", Limit: 1}); !errors.Is(err, ErrBadToken) {
		t.Errorf("strange token: %v", err)
	}
}

func FuzzDecodeChunk(f *testing.F) {
	f.Add(encodeChunk([]Event{at(0, "a"), at(5, "b")}, base))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeChunk(store.Record{Key: chunkKey("g", "s", base, 1), Value: b})
		if err == nil && len(c.events) > len(b) {
			t.Fatalf("%d events of %d bytes", len(c.events), len(b))
		}
	})
}

// TestPagesOfAFlood reads back, page by page, more than one search may read: a page must not
// begin with everything before it.
func TestPagesOfAFlood(t *testing.T) {
	const lines, lineBytes = 48_000, 1 << 10
	l, c, _ := made(t, "flood")
	line := strings.Repeat("x", lineBytes)
	for n := range lines / 1000 {
		batch := make([]Event, 1000)
		for i := range batch {
			batch[i] = Event{Time: c.Now().UnixMilli() + int64(i/20), Message: line}
		}
		put(t, l, "flood", batch...)
		c.Advance(time.Duration(50+n%3) * time.Millisecond)
	}
	for name, match := range map[string]func(string) bool{"all": nil, "none": func(string) bool { return false }} {
		found, pages, token := 0, 0, ""
		for {
			page, next, err := l.Search(t.Context(), scope, "g", Search{Limit: 10_000, Token: token, Match: match})
			if err != nil {
				t.Fatal(err)
			}
			found += len(page)
			if pages++; pages > 2*lines*lineBytes/pageBytesMax {
				t.Fatalf("%s: %d pages and no end", name, pages)
			}
			if token = next; token == "" {
				break
			}
		}
		if match == nil && found != lines || match != nil && found != 0 {
			t.Errorf("%s: found %d of %d", name, found, lines)
		}
	}
	read, token := 0, ""
	for {
		page, err := l.Events(t.Context(), scope, "g", "flood", EventsQuery{FromHead: true, Token: token, Limit: 10_000})
		if err != nil {
			t.Fatal(err)
		}
		read += len(page.Events)
		if token == page.Forward {
			break
		}
		token = page.Forward
	}
	if read != lines {
		t.Errorf("read %d of %d", read, lines)
	}
}

// TestFloodMakesNoBatchComeEarlier: a stream that is full waits for the next batch, or one function's flood
// would keep the store busy for all.
func TestFloodMakesNoBatchComeEarlier(t *testing.T) {
	m := mem.New()
	defer m.Close()
	s := &fullStore{Store: m}
	l := Open(s, Options{Log: slog.New(slog.DiscardHandler), FlushEvery: time.Hour})
	defer func() { l.Close(context.Background()) }()
	line := telemetry.LogEvent{Time: time.UnixMilli(base), Message: strings.Repeat("l", 64<<10)}
	for n := 0; ; n++ {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := l.Append(ctx, streamID("g", "flood"), line)
		cancel()
		if err != nil {
			break
		}
		if n > streamPendingBytesMax/len(line.Message) {
			t.Fatal("a full stream was written before its time")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := l.Flush(ctx); err != nil {
		t.Error(err)
	}
	if err := l.Append(ctx, streamID("g", "flood"), line); err != nil {
		t.Error(err)
	}
}
