package streampoller

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/frontend"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/mem"
	"github.com/lambdad/lambdad/internal/wire/sigv4"
	"github.com/lambdad/lambdad/test/streams"
)

// rig is a poller over a server of streams, with a function that is Go.
type rig struct {
	t        *testing.T
	server   *streams.Server
	store    store.Store
	kinesis  *Kinesis
	dynamodb *DynamoDB
	mapping  record.Mapping
	stop     func()

	mu       sync.Mutex
	function func(event *testEvent) (string, error) // an answer, "" for an error of the function
	seen     []string                               // data, in order
	sent     []Discard
}

type testEvent struct {
	Records []struct {
		Kinesis struct {
			Data           string
			SequenceNumber string
			PartitionKey   string
		}
		DynamoDB struct {
			SequenceNumber string
			NewImage       map[string]struct{ S string }
		}
	}
	Window *struct{ Start, End string }
	State  json.RawMessage
	Final  bool `json:"isFinalInvokeForWindow"`
	Early  bool `json:"isWindowTerminatedEarly"`
}

// data are the records' contents, and sequences their numbers.
func (e *testEvent) data() (data, sequences []string) {
	for _, r := range e.Records {
		if b, _ := base64.StdEncoding.DecodeString(r.Kinesis.Data); r.Kinesis.SequenceNumber != "" {
			data, sequences = append(data, string(b)), append(sequences, r.Kinesis.SequenceNumber)
		} else {
			data, sequences = append(data, r.DynamoDB.NewImage["data"].S), append(sequences, r.DynamoDB.SequenceNumber)
		}
	}
	return data, sequences
}

var testKey = record.Scoped{Scope: record.Scope{Account: "000000000000", Region: "us-east-1"}, Name: "11111111-2222-3333-4444-555555555555"}

const testRole = "arn:aws:iam::000000000000:role/r"

func newRig(t *testing.T) *rig {
	server := streams.Start(t)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	s := mem.New()
	t.Cleanup(func() { s.Close() })
	r := &rig{t: t, server: server, store: s, kinesis: NewKinesis(at), dynamodb: NewDynamoDB(at), stop: func() {}}
	r.function = func(*testEvent) (string, error) { return "null", nil }
	return r
}

// on makes the mapping of a stream.
func (r *rig) on(stream string, change func(*record.Mapping)) {
	r.mapping = record.Mapping{
		Source: stream, Function: record.Name{ID: record.FunctionID{Account: "000000000000", Region: "us-east-1", Name: "f"}}, Enabled: true, State: record.MappingEnabled, BatchSize: 100,
		Stream: &record.StreamMapping{StartingPosition: record.PositionTrimHorizon, Parallelization: 1, MaxAgeS: -1, MaxRetries: -1},
	}
	if change != nil {
		change(&r.mapping)
	}
	r.put()
}

func (r *rig) put() {
	r.t.Helper()
	write, err := record.Mappings.Put(testKey, &r.mapping, store.Unconditional())
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.store.Commit(r.t.Context(), write); err != nil {
		r.t.Fatal(err)
	}
}

// start starts a poller as a process does; the function it returns ends it at once, as a crash does, or in order.
func (r *rig) start() {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	view := record.Mappings.View(r.store, nil)
	var running sync.WaitGroup
	running.Go(func() { _ = view.Run(ctx) })
	<-view.Ready()
	p, err := New(Options{Records: r.store, Mappings: view, Functions: r, Streams: r, Invoke: r.invoke, Send: r.send})
	if err != nil {
		r.t.Fatal(err)
	}
	polling, end := context.WithCancel(ctx)
	ended := make(chan struct{})
	running.Go(func() { _ = p.Run(polling, ctx); close(ended) })
	r.stop = func() {
		end()
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			r.t.Error("the poller does not end")
		}
		cancel()
		running.Wait()
	}
	r.t.Cleanup(func() { cancel(); running.Wait() })
}

func (r *rig) Function(id record.FunctionID, _ string) (*record.Function, bool) {
	return &record.Function{ID: id, Version: record.Latest, Role: testRole, TimeoutS: 3}, true
}

var testKeys = sigv4.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "secret"}

func (r *rig) Shards(ctx context.Context, role, stream string) (Listing, error) {
	arn, err := aws.ParseARN(stream)
	if err != nil || role != testRole {
		return Listing{}, errors.Join(err, errors.New("another role"))
	}
	if isTable(stream) {
		return r.dynamodb.Shards(ctx, testKeys, arn)
	}
	return r.kinesis.Shards(ctx, testKeys, arn)
}

func (r *rig) Read(ctx context.Context, _, stream, shard string, from From, limit int) (Page, error) {
	arn, err := aws.ParseARN(stream)
	if err != nil {
		return Page{}, err
	}
	if isTable(stream) {
		return r.dynamodb.Read(ctx, testKeys, arn, shard, from, limit)
	}
	return r.kinesis.Read(ctx, testKeys, arn, shard, from, limit)
}

func (r *rig) send(_ context.Context, d *Discard) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent = append(r.sent, *d)
	return nil
}

func (r *rig) invoke(_ context.Context, request *frontend.Request) (frontend.Answer, error) {
	var e testEvent
	if err := json.Unmarshal(request.Payload, &e); err != nil {
		r.t.Error(err)
	}
	data, _ := e.data()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, data...)
	answer, err := r.function(&e)
	out := frontend.Answer{ExecutedVersion: record.Latest}
	out.Payload = []byte(answer)
	if answer == "" {
		out.FunctionError = "Unhandled"
	}
	return out, err
}

// wait waits for something that the function or a destination sees.
func (r *rig) wait(what string, is func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		r.mu.Lock()
		done := is()
		seen := fmt.Sprintf("%.1000q", r.seen)
		r.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: the function saw %s", what, seen)
		}
	}
}

func (r *rig) sees(want ...string) {
	r.t.Helper()
	r.wait(fmt.Sprintf("want %q", want), func() bool { return slices.Equal(r.seen, want) })
}

func (r *rig) result() string {
	held, err := record.StreamProgresses.Get(r.t.Context(), r.store, testKey)
	if err != nil {
		return err.Error()
	}
	return held.Value.Result
}

func TestPollerReadsOn(t *testing.T) {
	for _, kind := range []string{"kinesis", "dynamodb"} {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t)
			stream := r.server.Stream("s")
			if kind == "dynamodb" {
				stream = r.server.Table("s")
			}
			r.server.Put(stream, "a", "1", "2")
			r.on(stream, nil)
			r.start()
			r.sees("1", "2")
			r.stop()
			if got := r.result(); got != "OK" {
				t.Errorf("LastProcessingResult is %q", got)
			}
			// Another process goes on behind what is done, through a throttle, an old iterator and a split.
			r.server.Fail("ProvisionedThroughputExceededException", "ExpiredIteratorException")
			r.server.Put(stream, "a", "3")
			r.start()
			r.sees("1", "2", "3")
			r.server.Expire()
			r.server.Put(stream, "a", "4")
			r.server.Split(stream)
			r.server.Put(stream, "a", "5")
			r.server.Merge(stream)
			r.server.Put(stream, "a", "6")
			r.sees("1", "2", "3", "4", "5", "6")
			// What the stream has forgotten is forgotten here.
			r.server.Forget(stream)
			r.server.Split(stream)
			r.server.Put(stream, "a", "7")
			r.sees("1", "2", "3", "4", "5", "6", "7")
			r.stop()
			// Records that were dropped before they were read are not waited for.
			r.server.Put(stream, "a", "lost")
			r.server.Trim(stream)
			r.server.Put(stream, "a", "8")
			r.start()
			r.sees("1", "2", "3", "4", "5", "6", "7", "8")
			// With the mapping its places go.
			if _, err := r.store.Commit(t.Context(), record.Mappings.Drop(testKey, store.Unconditional())); err != nil {
				t.Fatal(err)
			}
			r.wait("the places go", func() bool {
				n := 0
				err := record.StreamShards.Each(t.Context(), r.store, "", func(record.Held[record.Scoped, record.StreamShard]) { n++ })
				return err == nil && n == 0 && strings.Contains(r.result(), "not found")
			})
			r.stop()
		})
	}
}

func TestStartingPositions(t *testing.T) {
	now := time.Now()
	for _, tc := range []struct {
		table bool
		start record.StreamMapping
		want  []string
	}{
		{false, record.StreamMapping{StartingPosition: record.PositionTrimHorizon}, []string{"old", "older than that", "new"}},
		{false, record.StreamMapping{StartingPosition: record.PositionLatest}, []string{"new"}},
		{true, record.StreamMapping{StartingPosition: record.PositionLatest}, []string{"new"}},
		{false, record.StreamMapping{StartingPosition: record.PositionAtTimestamp, StartingTime: now.Add(-time.Hour)}, []string{"older than that", "new"}},
	} {
		r := newRig(t)
		stream := r.server.Stream("s")
		if tc.table {
			stream = r.server.Table("s")
		}
		r.server.PutAt(stream, now.Add(-2*time.Hour), "a", "old")
		r.server.Split(stream)
		r.server.PutAt(stream, now.Add(-time.Minute), "a", "older than that")
		r.on(stream, func(m *record.Mapping) {
			m.Stream.StartingPosition, m.Stream.StartingTime = tc.start.StartingPosition, tc.start.StartingTime
		})
		r.start()
		r.wait("the first read", func() bool { return r.server.Calls("GetRecords") > 3 })
		// LATEST means when the mapping began, whatever happens to iterators and processes until something comes.
		r.stop()
		r.server.Put(stream, "a", "new")
		r.start()
		r.sees(tc.want...)
		r.stop()
	}
}

// TestLatestIsAskedOnce: what is written while the first iterator cannot be had is read, too.
func TestLatestIsAskedOnce(t *testing.T) {
	for _, table := range []bool{false, true} {
		r := newRig(t)
		stream := r.server.Stream("s")
		if table {
			stream = r.server.Table("s")
		}
		r.server.PutAt(stream, time.Now().Add(-time.Hour), "a", "old")
		r.on(stream, func(m *record.Mapping) { m.Stream.StartingPosition = record.PositionLatest })
		r.server.Fail("ProvisionedThroughputExceededException", "LimitExceededException")
		r.start()
		r.wait("the first read", func() bool { return r.server.Calls("GetShardIterator") > 0 })
		r.server.Put(stream, "a", "new")
		r.sees("new")
		r.stop()
	}
}

func TestFailures(t *testing.T) {
	bad := func(e *testEvent) (string, error) {
		data, sequences := e.data()
		if i := slices.Index(data, "bad"); i >= 0 {
			return `{"batchItemFailures":[{"itemIdentifier":"` + sequences[len(sequences)-1] + `"},{"itemIdentifier":"` + sequences[i] + `"}]}`, nil
		}
		return "null", nil
	}
	raises := func(e *testEvent) (string, error) {
		if data, _ := e.data(); slices.Contains(data, "bad") {
			return "", nil
		}
		return "null", nil
	}
	for name, tc := range map[string]struct {
		change   func(*record.Mapping)
		function func(*testEvent) (string, error)
		seen     string
		sent     string
	}{
		"retries": {func(m *record.Mapping) { m.Stream.MaxRetries = 1 }, raises, "1 bad 2 1 bad 2", "RetryAttemptsExhausted 2 3 Unhandled"},
		"bisect":  {func(m *record.Mapping) { m.Stream.MaxRetries, m.Stream.Bisect = 1, true }, raises, "1 bad 2 1 bad 2 bad bad 2", "RetryAttemptsExhausted 2 1 Unhandled"},
		"report":  {func(m *record.Mapping) { m.Stream.MaxRetries, m.ReportFailures = 1, true }, bad, "1 bad 2 bad 2 bad 2", "RetryAttemptsExhausted 2 2 <nil>"},
		"age": {func(m *record.Mapping) { m.Stream.MaxAgeS = 60 }, func(e *testEvent) (string, error) {
			return "", errors.Join(api.NewTooManyRequestsException("no"))
		}, "", "RecordAgeExceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.function = tc.function
			stream := r.server.Stream("s")
			r.on(stream, func(m *record.Mapping) {
				m.Stream.OnFailure = "arn:aws:s3:::b"
				tc.change(m)
			})
			at := time.Now()
			if name == "age" {
				at = at.Add(-2 * time.Minute)
			}
			r.server.PutAt(stream, at, "a", "1", "bad", "2")
			r.start()
			r.wait("a record of failure", func() bool { return len(r.sent) == 1 })
			r.mu.Lock()
			seen, d := strings.Join(r.seen, " "), r.sent[0]
			r.function = func(*testEvent) (string, error) { return "null", nil }
			r.mu.Unlock()
			if tc.seen != "" && !strings.HasPrefix(tc.seen, seen) {
				t.Errorf("the function saw %q, want %q", seen, tc.seen)
			}
			var told struct {
				RequestContext struct {
					Condition              string
					ApproximateInvokeCount int
					FunctionArn            string
				}
				ResponseContext  *struct{ FunctionError any }
				KinesisBatchInfo struct {
					BatchSize int
					StreamArn string
				}
				Payload string
			}
			if err := json.Unmarshal(d.Body, &told); err != nil {
				t.Fatal(err)
			}
			got := told.RequestContext.Condition
			if told.ResponseContext != nil {
				got += fmt.Sprintf(" %d %d %v", told.RequestContext.ApproximateInvokeCount, told.KinesisBatchInfo.BatchSize, told.ResponseContext.FunctionError)
			}
			if got != tc.sent || told.KinesisBatchInfo.StreamArn != stream || !strings.HasPrefix(told.Payload, `{"Records":[{"kinesis"`) {
				t.Errorf("%q, want %q: %s", got, tc.sent, d.Body)
			}
			if !strings.HasPrefix(d.ObjectKey, "aws/lambda/"+testKey.Name+"/shardId-") || d.Role != testRole {
				t.Errorf("%+v", d)
			}
			r.server.Put(stream, "a", "on")
			r.wait("what follows", func() bool { return len(r.seen) > 0 && r.seen[len(r.seen)-1] == "on" })
			r.stop()
			if got := r.result(); got != "OK" {
				t.Errorf("LastProcessingResult is %q", got)
			}
		})
	}
}

func TestFiltersAndWindows(t *testing.T) {
	r := newRig(t)
	stream := r.server.Stream("s")
	r.on(stream, func(m *record.Mapping) {
		m.BatchSize, m.WindowS = 3, 60
		m.Filters = []string{`{"data":{"n":[{"numeric":[">",0]}]}}`, `{"partitionKey":["p"],"data":["text"]}`}
	})
	r.server.Put(stream, "a", `{"n":0}`, `{"n":1}`, "text", `{"n":2}`)
	r.server.Put(stream, "p", "other", "text") // the third fills the batch
	r.start()
	r.sees(`{"n":1}`, `{"n":2}`, "text")
	r.stop()
}

func TestTumblingWindows(t *testing.T) {
	r := newRig(t)
	type call struct {
		state, window string
		n             int
		final, early  bool
	}
	var calls []call
	r.function = func(e *testEvent) (string, error) {
		data, _ := e.data()
		calls = append(calls, call{string(e.State), e.Window.Start + " " + e.Window.End, len(data), e.Final, e.Early})
		switch {
		case slices.Contains(data, "forget") && len(calls) < 3:
			return "null", nil // without a state the invoke has failed
		case slices.Contains(data, "large"):
			return `{"state":"` + strings.Repeat("x", stateBytesMax) + `"}`, nil
		}
		return fmt.Sprintf(`{"state":{"calls":%d}}`, len(calls)), nil
	}
	stream := r.server.Stream("s")
	r.on(stream, func(m *record.Mapping) { m.BatchSize, m.Stream.TumblingS = 2, 60 })
	first := time.Now().Add(-10 * time.Minute).Truncate(time.Minute)
	r.server.PutAt(stream, first.Add(time.Second), "a", "1", "2", "forget")
	r.server.PutAt(stream, first.Add(61*time.Second), "a", "large")
	r.server.PutAt(stream, first.Add(121*time.Second), "a", "3")
	r.server.Split(stream)
	r.start()
	r.wait("the last window", func() bool { return len(calls) == 8 })
	r.stop()
	window := func(n int) string {
		at := first.Add(time.Duration(n) * time.Minute).UTC()
		return at.Format(windowForm) + " " + at.Add(time.Minute).Format(windowForm)
	}
	large := `"` + strings.Repeat("x", stateBytesMax) + `"`
	want := []call{
		{"{}", window(0), 2, false, false}, {`{"calls":1}`, window(0), 1, false, false}, {`{"calls":1}`, window(0), 1, false, false}, {`{"calls":3}`, window(0), 0, true, false},
		{"{}", window(1), 1, false, false}, {large, window(1), 0, true, true},
		{"{}", window(2), 1, false, false}, {`{"calls":7}`, window(2), 0, true, false},
	}
	for i := range calls {
		if calls[i] != want[i] {
			t.Errorf("call %d: %.200v, want %.200v", i, calls[i], want[i])
		}
	}
}

// TestParallelBatches: with a factor keys do not wait for each other, but for themselves.
func TestParallelBatches(t *testing.T) {
	r := newRig(t)
	blocked := true
	r.function = func(e *testEvent) (string, error) {
		if data, _ := e.data(); blocked && strings.HasPrefix(data[0], "k0") {
			return "", nil
		}
		return "null", nil
	}
	stream := r.server.Stream("s")
	r.on(stream, func(m *record.Mapping) { m.BatchSize, m.Stream.Parallelization = 1, 10 })
	for i := range 30 {
		r.server.Put(stream, fmt.Sprint("k", i%10), fmt.Sprint("k", i%10, ".", i/10))
	}
	r.start()
	r.wait("the other keys", func() bool { return slices.Contains(r.seen, "k5.0") && slices.Contains(r.seen, "k9.0") })
	r.mu.Lock()
	if slices.Contains(r.seen, "k0.1") {
		t.Error("a key's second record before its first")
	}
	blocked = false
	r.mu.Unlock()
	r.wait("all", func() bool {
		return slices.Contains(r.seen, "k0.2") && slices.Contains(r.seen, "k9.2") && slices.Contains(r.seen, "k5.2")
	})
	r.stop()
}
