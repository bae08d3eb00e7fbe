package node

import (
	"fmt"
	"os"
	"strings"
)

// memoryShare of the machine's memory is what sandboxes may promise together,
// unless --memory says otherwise: the rest is for lambdad, the page cache and others.
const memoryShare = 0.8

const (
	// reserveMiB is left on a small machine, too: lambdad itself, the runtimes that wait and
	// the templates take as much at most. No more than half is left for it.
	reserveMiB = 1024
	// templatesShare of what sandboxes may promise is what templates may take beside it.
	templatesShare   = 10 // one part in so many
	templatesMostMiB = 1024
)

// automaticMiB is what sandboxes may promise on a machine with so much memory.
func automaticMiB(machineMiB int) int {
	return min(int(float64(machineMiB)*memoryShare), max(machineMiB-reserveMiB, machineMiB/2))
}

// templatesBytes bounds the memory of templates on a host that promises so much.
func templatesBytes(budgetMiB int) int64 {
	return int64(min(budgetMiB/templatesShare, templatesMostMiB)) << 20
}

// memoryBudgetMiB is the configured budget, or a share of the machine's memory.
func memoryBudgetMiB(configured int) (int, error) {
	if configured > 0 {
		return configured, nil
	}
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("read the machine's memory (or set --memory): %w", err)
	}
	for line := range strings.Lines(string(text)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "MemTotal: %d kB", &kib); n == 1 {
			return automaticMiB(kib / 1024), nil
		}
	}
	return 0, fmt.Errorf("no MemTotal in /proc/meminfo; set --memory")
}
