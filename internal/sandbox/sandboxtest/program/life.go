package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func lifeDeeds() map[string]deed {
	return map[string]deed{
		"exit":   exit,
		"signal": raise,
		"sleep":  sleep,
		"env": func([]string) (string, error) {
			return strings.Join(slices.Sorted(slices.Values(os.Environ())), "\n"), nil
		},
		"order":    order,
		"trap":     trap,
		"id":       id,
		"limits":   limits,
		"spin":     spin,
		"tick":     tick,
		"orphan":   orphan,
		"status":   func([]string) (string, error) { return read("/proc/self/status") },
		"pids":     pids,
		"open-fds": openDescriptors,
	}
}

func exit(args []string) (string, error) {
	code, err := strconv.Atoi(args[0])
	if err != nil {
		return "", err
	}
	os.Exit(code)
	return "", nil
}

// raise ends this process by a signal that Go does not catch.
func raise(args []string) (string, error) {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return "", err
	}
	signal.Reset(syscall.Signal(n))
	if err := syscall.Kill(os.Getpid(), syscall.Signal(n)); err != nil {
		return "", err
	}
	time.Sleep(time.Minute)
	return "", fmt.Errorf("signal %d did not end me", n)
}

func sleep(args []string) (string, error) {
	fmt.Println("sleeping")
	d, err := time.ParseDuration(args[0])
	if err == nil {
		time.Sleep(d)
	}
	return "", err
}

// order writes to both streams in turn.
func order(args []string) (string, error) {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return "", err
	}
	for i := range n {
		to := os.Stdout
		if i%2 == 1 {
			to = os.Stderr
		}
		if i%10 == 9 { // opened again, as a shell's >/dev/stderr does
			if to, err = os.OpenFile("/dev/stderr", os.O_WRONLY|os.O_APPEND, 0); err != nil {
				return "", err
			}
		}
		fmt.Fprintln(to, i)
	}
	return "", nil
}

func trap([]string) (string, error) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	fmt.Println("ready")
	return "got " + (<-c).String(), nil
}

func id([]string) (string, error) {
	hostname, err := os.Hostname()
	if err != nil {
		return "", err
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("uid=%d gid=%d groups=%v host=%s dir=%s", os.Getuid(), os.Getgid(), must(os.Getgroups()), hostname, dir), nil
}

func must[T any](v T, err error) T {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	return v
}

func limits([]string) (string, error) {
	content, err := read("/proc/self/limits")
	if err != nil {
		return "", err
	}
	var out []string
	for line := range strings.Lines(content) {
		for _, name := range []string{"Max open files", "Max processes", "Max core file size"} {
			if strings.HasPrefix(line, name) {
				out = append(out, name+"="+strings.Fields(strings.TrimPrefix(line, name))[1])
			}
		}
	}
	return strings.Join(out, "\n"), nil
}

// spin burns one core for a while and tells how much of it it got, in thousandths.
func spin(args []string) (string, error) {
	d, err := time.ParseDuration(args[0])
	if err != nil {
		return "", err
	}
	runtime.LockOSThread()
	var before, after syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		return "", err
	}
	begin := time.Now()
	for time.Since(begin) < d {
	}
	wall := time.Since(begin)
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &after); err != nil {
		return "", err
	}
	used := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	return strconv.FormatInt(1000*int64(used)/int64(wall), 10), nil
}

// tick writes a line every ten milliseconds until it is ended.
func tick([]string) (string, error) {
	for i := 0; ; i++ {
		fmt.Println(i)
		time.Sleep(10 * time.Millisecond)
	}
}

// orphan leaves a process behind that holds the output open, and ends.
func orphan([]string) (string, error) {
	c := exec.Command("/proc/self/exe", "sleep", "1h")
	c.Stdout = os.Stdout
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return "left one", c.Start()
}

// pids lists the processes that are visible.
func pids([]string) (string, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return "", err
	}
	var out []string
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err == nil {
			out = append(out, e.Name())
		}
	}
	return strings.Join(out, " "), nil
}

func openDescriptors([]string) (string, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return "", err
	}
	var out []string
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil { // the directory's own descriptor is gone again
			out = append(out, e.Name()+"="+target)
		}
	}
	return strings.Join(out, "\n"), nil
}

func read(path string) (string, error) {
	content, err := os.ReadFile(path)
	return string(content), err
}
