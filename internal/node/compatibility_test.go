package node

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/frontend"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/telemetry"
	"github.com/lambdad/lambdad/internal/telemetry/logs"
)

const (
	tablePath  = "../../docs/guide/compatibility.md"
	tableBegin = "<!-- operations: made from the code by `UPDATE=1 go test ./internal/node -run Compatibility` -->\n"
	tableEnd   = "<!-- end of operations -->\n"
)

// TestCompatibilityTable holds the guide's table to the slots that are filled.
func TestCompatibilityTable(t *testing.T) {
	want := operationsTable(t)
	content, err := os.ReadFile(tablePath)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(content), tableBegin)
	have, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has lost the marks around its table", tablePath)
	}
	if have == want {
		return
	}
	if os.Getenv("UPDATE") == "" {
		t.Fatalf("%s is not what the code does; run with UPDATE=1. The code does:\n%s", tablePath, want)
	}
	if err := os.WriteFile(tablePath, []byte(before+tableBegin+want+tableEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func operationsTable(t *testing.T) string {
	t.Helper()
	config := Defaults()
	config.Data = t.TempDir()
	n := &node{config: config, log: newLogger(config, io.Discard), frontend: &frontend.Frontend{}, metrics: telemetry.NewMetrics()}
	var err error
	if n.storage, err = openStorage(config, n.log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	})
	if n.authority, err = iam.Open(t.Context(), iam.Options{Records: n.storage.store}); err != nil {
		t.Fatal(err)
	}
	n.logs = logs.Open(n.storage.store, logs.Options{Log: n.log})
	n.openViews()
	if err := n.assembleAPI(t.Context()); err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	for _, s := range n.services {
		var built, refused []string
		for _, op := range s.Operations {
			if op.Built() {
				built = append(built, op.Name)
			} else {
				refused = append(refused, op.Name)
			}
		}
		fmt.Fprintf(&table, "\n### %s: %d of %d operations\n\nBuilt: %s.\n\nAnswer 501: %s.\n\n", s.ServiceID, len(built), len(s.Operations), strings.Join(built, ", "), strings.Join(refused, ", "))
	}
	return table.String()
}
