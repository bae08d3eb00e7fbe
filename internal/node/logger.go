package node

import (
	"io"
	"log/slog"
)

// newLogger is lambdad's own log; functions' logs go to CloudWatch Logs.
func newLogger(c Config, out io.Writer) *slog.Logger {
	var level slog.Level
	// Check has refused other names.
	_ = level.UnmarshalText([]byte(c.LogLevel))
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(out, options))
	}
	return slog.New(slog.NewTextHandler(out, options))
}
