package logs

import (
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/lambdad/lambdad/internal/telemetry"
)

// lineBytesMax is how long one event of a function is at most; Lambda too
// cuts longer lines into several.
const lineBytesMax = 256 << 10

// Append queues events; the group and the stream are made with the first ones.
func (l *Logs) Append(ctx context.Context, id telemetry.LogStreamID, events ...telemetry.LogEvent) error {
	for _, e := range events {
		message := e.Message
		for {
			head := cutLine(message)
			if err := l.sink.add(ctx, id, Event{Time: e.Time.UnixMilli(), Message: head}); err != nil {
				return err
			}
			if message = message[len(head):]; message == "" {
				break
			}
		}
	}
	return nil
}

// cutLine returns as much of a message as one event holds, cut between characters.
func cutLine(message string) string {
	if len(message) <= lineBytesMax {
		return message
	}
	end := lineBytesMax
	for end > lineBytesMax-utf8.UTFMax && !utf8.RuneStart(message[end]) {
		end--
	}
	return message[:end]
}

// Flush returns when everything appended before it is durable and visible.
func (l *Logs) Flush(ctx context.Context) error {
	s := l.sink
	s.mu.Lock()
	target := s.appended
	for s.durable < target {
		if s.closed {
			s.mu.Unlock()
			return ErrClosed
		}
		progress := s.progress
		s.mu.Unlock()
		signal(s.now)
		select {
		case <-progress:
		case <-ctx.Done():
			return fmt.Errorf("flush logs: %w", ctx.Err())
		}
		s.mu.Lock()
	}
	s.mu.Unlock()
	return nil
}
