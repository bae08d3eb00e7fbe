// Package runtimeapi owns what the code inside a sandbox speaks to: the Runtime
// API 2018-06-01 (and later the extensions, telemetry and logs APIs), served on
// the sandbox's own listener, and in runtimeapi/client the runtime clients that
// are mounted at /var/runtime. It must never import sandbox or worker: it gets a
// net.Listener and answers; who started the program is not its business.
package runtimeapi

import (
	"time"

	"github.com/lambdad/lambdad/internal/aws"
)

// Payload bounds. Source: Lambda quotas, "Invocation payload"; the exact figure
// is what AWS's own errors print.
const (
	ResponseBytesMax       = 6291556
	ResponseStreamBytesMax = 200 << 20
	ErrorBytesMax          = 256 << 10 // an error's body beyond this is refused with 413
)

// Invocation is what one GET .../invocation/next delivers. Empty strings leave
// their header out.
type Invocation struct {
	RequestID       aws.RequestID
	Deadline        time.Time
	FunctionARN     string // as invoked, with its qualifier
	TraceID         string // X-Amzn-Trace-Id's value
	ClientContext   string // decoded JSON
	CognitoIdentity string // JSON
	TenantID        string
	ContentType     string // "" means application/json
	Payload         []byte // not copied, not changed
}

// Outcome is what the runtime answered for one invocation.
type Outcome struct {
	// Payload is the response's or the error's body, as sent.
	Payload     []byte
	ContentType string
	// ErrorType is "" for a response, else the validated
	// Lambda-Runtime-Function-Error-Type (Function.Unknown when it sent a bad one).
	ErrorType string
	// Streaming says that the runtime chose the streaming response mode.
	Streaming bool
	// FirstByte and Done are when the answer began and was complete.
	FirstByte, Done time.Time
}

// InitError is what POST .../init/error told: the runtime could not initialise.
type InitError struct {
	ErrorType string
	Payload   []byte // the JSON body as sent: errorMessage, errorType, stackTrace
}

func (e *InitError) Error() string { return "runtimeapi: init error " + e.ErrorType }
