package node

import (
	"log/slog"
	"os"

	"github.com/lambdad/lambdad/internal/sandbox/container"
)

// extender is the path of the program that starts extensions in sandboxes of every isolation, "" where there
// is none: functions that have extensions are refused then.
func extender(c Config, log *slog.Logger) string {
	err := os.MkdirAll(ToolsDir(c), 0o755)
	if err == nil {
		var path string
		if path, err = container.FindInit(ToolsDir(c)); err == nil {
			return path
		}
	}
	log.Warn("functions with external extensions are refused", "why", err)
	return ""
}
