package worker

import (
	"encoding/json"
	"strings"
	"time"
)

// applicationLevelOfLine reads the level of a JSON line; anything else is INFO. Source: Lambda developer guide,
// "Log-level filtering": INFO is what lines without a valid level have, and those without a valid timestamp.
func applicationLevelOfLine(s string) int {
	if len(s) == 0 || s[0] != '{' {
		return levels[levelDefault]
	}
	var v struct {
		Level     string `json:"level"`
		Timestamp string `json:"timestamp"`
		Time      string `json:"time"` // as Go's slog calls it
	}
	if json.Unmarshal([]byte(s), &v) != nil {
		return levels[levelDefault]
	}
	if v.Timestamp == "" {
		v.Timestamp = v.Time
	}
	if _, err := time.Parse(time.RFC3339, v.Timestamp); err != nil {
		return levels[levelDefault]
	}
	level := strings.ToUpper(v.Level)
	switch level {
	case "WARNING":
		level = "WARN"
	case "CRITICAL":
		level = "FATAL"
	}
	if n, ok := levels[level]; ok {
		return n
	}
	return levels[levelDefault]
}
