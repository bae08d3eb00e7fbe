package workertest

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/telemetry"
	"github.com/lambdad/lambdad/internal/worker"
)

// Code has every package.
type Code struct {
	Err  error
	mu   sync.Mutex
	held int
}

// Hold implements worker.Code.
func (c *Code) Hold(artifact.Digest) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.held--
	}
}

// Dir implements worker.Code.
func (c *Code) Dir(context.Context, artifact.Digest) (string, error) { return "/code", c.Err }

// Held is how many holds were not released.
func (c *Code) Held() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}

// Runtimes has one runtime for every identifier.
type Runtimes struct {
	Err           error
	Waits, Copies bool
}

// Runtime implements worker.Runtimes.
func (r Runtimes) Runtime(_ context.Context, want worker.RuntimeWant) (worker.Runtime, error) {
	return worker.Runtime{
		Waits:      r.Waits,
		Copies:     r.Copies,
		Key:        want.Identifier,
		Argv:       []string{"/bootstrap"},
		Mounts:     []sandbox.Mount{{Source: "/client", Target: "/var/runtime"}},
		Version:    "python:3.13.v1",
		VersionARN: "arn:aws:lambda:us-east-1::runtime:0123",
	}, r.Err
}

// Credentials issues keys that live for the asked time.
type Credentials struct{}

// IssueForFunction implements worker.Credentials.
func (Credentials) IssueForFunction(_ context.Context, role, function string, ttl time.Duration) (worker.TemporaryCredentials, error) {
	return worker.TemporaryCredentials{AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: "secret", SessionToken: role + "/" + function, Expires: time.Now().Add(ttl)}, nil
}

// Logs keeps every event.
type Logs struct {
	mu     sync.Mutex
	events []telemetry.LogEvent
	stream telemetry.LogStreamID
}

// Append implements telemetry.LogSink.
func (l *Logs) Append(_ context.Context, id telemetry.LogStreamID, events ...telemetry.LogEvent) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stream = id
	l.events = append(l.events, events...)
	return nil
}

// Flush implements telemetry.LogSink.
func (l *Logs) Flush(context.Context) error { return nil }

// Messages returns the events' messages so far.
func (l *Logs) Messages() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]string, len(l.events))
	for i, e := range l.events {
		out[i] = e.Message
	}
	return out
}

// Text is all messages as one.
func (l *Logs) Text() string { return strings.Join(l.Messages(), "") }

// Stream is the stream last written to.
func (l *Logs) Stream() telemetry.LogStreamID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stream
}

// Discard is a LogSink that keeps nothing.
type Discard struct{}

// Append implements telemetry.LogSink.
func (Discard) Append(context.Context, telemetry.LogStreamID, ...telemetry.LogEvent) error {
	return nil
}

// Flush implements telemetry.LogSink.
func (Discard) Flush(context.Context) error { return nil }

// Function is a small function for tests.
func Function(name string) *record.Function {
	return &record.Function{
		ID:           record.FunctionID{Account: "000000000000", Region: "us-east-1", Name: name},
		Version:      record.Latest,
		Runtime:      "python3.13",
		Handler:      "app.handler",
		Role:         "arn:aws:iam::000000000000:role/r",
		TimeoutS:     3,
		MemoryMiB:    128,
		TmpMiB:       512,
		Architecture: "x86_64",
		Artifact:     "00",
		CodeSHA256:   "c2hh",
		Logging:      record.Logging{Format: "Text", Group: "/aws/lambda/" + name},
		TracingMode:  "PassThrough",
		State:        record.StateActive,
		Update:       record.UpdateSuccessful,
		Generation:   1,
	}
}
