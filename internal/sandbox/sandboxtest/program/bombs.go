package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

func bombDeeds() map[string]deed {
	return map[string]deed{
		"memory":      memory,
		"forks":       forks,
		"descriptors": descriptors,
		"output":      flood,
	}
}

// memory takes so many MiB and touches each page.
func memory(args []string) (string, error) {
	mib, err := strconv.Atoi(args[0])
	if err != nil {
		return "", err
	}
	var held [][]byte
	for range mib {
		block := make([]byte, 1<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		held = append(held, block)
	}
	return fmt.Sprintf("held %d MiB", len(held)), nil
}

// forks starts sleeping children until it is refused.
func forks(args []string) (string, error) {
	for n := 0; ; n++ {
		_, err := syscall.ForkExec("/proc/self/exe", []string{"program", "sleep", "1h"}, &syscall.ProcAttr{})
		if err != nil {
			return fmt.Sprintf("%d children", n), err
		}
	}
}

func descriptors([]string) (string, error) {
	for n := 0; ; n++ {
		if _, err := syscall.Open("/dev/null", syscall.O_RDONLY, 0); err != nil {
			return fmt.Sprintf("%d descriptors", n), err
		}
	}
}

// flood writes as much as it can for a while.
func flood(args []string) (string, error) {
	d, err := time.ParseDuration(args[0])
	if err != nil {
		return "", err
	}
	line := make([]byte, 64<<10)
	for i := range line {
		line[i] = 'x'
	}
	line[len(line)-1] = '\n'
	for end := time.Now().Add(d); time.Now().Before(end); {
		if _, err := os.Stdout.Write(line); err != nil {
			return "", err
		}
	}
	return "", nil
}
