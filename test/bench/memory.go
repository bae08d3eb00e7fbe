package main

import (
	"errors"
	"fmt"
	"os"
)

// availableKiB is what the kernel says could still be used without swapping: it counts the
// memory of the kernel's own objects too, which a sandbox has many of.
func availableKiB() (int64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	var kib int64
	for _, line := range splitLines(string(text)) {
		if n, _ := fmt.Sscanf(line, "MemAvailable: %d kB", &kib); n == 1 {
			return kib, nil
		}
	}
	return 0, errors.New("no MemAvailable in /proc/meminfo")
}
