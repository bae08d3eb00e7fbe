package node

import (
	"fmt"
	"os"
	"strings"
)

// memoryShare of the machine's memory is what sandboxes may promise together,
// unless --memory says otherwise: the rest is for lambdad, the page cache and others.
const memoryShare = 0.8

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
			return int(float64(kib/1024) * memoryShare), nil
		}
	}
	return 0, fmt.Errorf("no MemTotal in /proc/meminfo; set --memory")
}
