// Package telemetry owns a function's log lines, metrics and traces, and
// lambdad's own. Log groups, streams and events at rest are telemetry/logs. It may
// import store and must never import a room above level 1: everything that runs
// reports here.
package telemetry

import (
	"context"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
)

// LogStreamID names one log stream.
type LogStreamID struct {
	Account aws.AccountID
	Region  aws.Region
	Group   string
	Stream  string
}

// LogEvent is one line of a log, without a trailing newline requirement.
type LogEvent struct {
	Time    time.Time
	Message string
}

// LogSink takes function logs off the invoke path: Append only queues the
// events (bounded: when full it waits, so a flood slows its own function and
// loses nothing) and a background writer makes group, stream and events durable.
type LogSink interface {
	Append(ctx context.Context, id LogStreamID, events ...LogEvent) error
	// Flush returns when everything appended before it is durable and visible to readers.
	Flush(ctx context.Context) error
}
