// Command bench measures lambdad beside peers in the same run, and writes what it
// measured with the machine it measured on to a Markdown file. Ratios are what
// counts: absolute times are the machine's.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// part is one chapter of the measurements.
type part struct {
	name string
	run  func(context.Context, *bench) error
}

type bench struct {
	lambdad string // path of the built program
	golang  string // folder with the built Go example
	quick   bool   // fewer repetitions, for a look
	report  *report
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == bareFlag {
		if err := serveBare(); err != nil {
			fmt.Fprintln(os.Stderr, "bench: bare server:", err)
			os.Exit(1)
		}
		return
	}
	lambdad := flag.String("lambdad", "bin/lambdad", "the built program")
	out := flag.String("out", "", "Markdown file to write; empty prints only")
	only := flag.String("only", "", "comma-separated parts: store, warm, sandbox, gvisor, microvm, native, cold, tiers, thaw, many, scale, keepalive, queues, async, start, neighbour, streaming, mappings, rie")
	quick := flag.Bool("quick", false, "fewer repetitions, for a look")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *lambdad, *out, *only, *quick); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, lambdad, out, only string, quick bool) error {
	dir, err := os.MkdirTemp("", "lambdad-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", filepath.Join(dir, "bootstrap"), "./examples/golang")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the Go example: %w\n%s", err, text)
	}
	if lambdad, err = filepath.Abs(lambdad); err != nil {
		return err
	}
	b := &bench{lambdad: lambdad, golang: dir, quick: quick, report: newReport(machine())}
	parts := []part{{"store", benchStore}, {"warm", benchWarm}, {"sandbox", benchSandbox}, {"gvisor", benchGvisor}, {"microvm", benchMicroVM}, {"native", benchNative}, {"cold", benchCold}, {"tiers", benchTiers}, {"thaw", benchThaw}, {"many", benchMany}, {"scale", benchScale}, {"keepalive", benchKeepAlive}, {"queues", benchQueues}, {"async", benchAsync}, {"start", benchStart}, {"neighbour", benchNeighbour}, {"streaming", benchStreaming}, {"mappings", benchMappings}, {"rie", benchRIE}}
	var failed []string
	for _, p := range parts {
		if only != "" && !strings.Contains(","+only+",", ","+p.name+",") {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s\n", p.name)
		// The others' figures took long to get, and stand without this part's.
		if err := p.run(ctx, b); err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", p.name, err)
			failed = append(failed, p.name)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	fmt.Println(b.report)
	if out != "" {
		if err := os.WriteFile(out, []byte(b.report.String()), 0o644); err != nil {
			return err
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("failed, and not in the report: %s", strings.Join(failed, ", "))
	}
	return nil
}

// machine says in one line where the figures come from.
func machine() string {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	model := "unknown processor"
	cpuinfo, _ := os.ReadFile("/proc/cpuinfo")
	for _, line := range strings.Split(string(cpuinfo), "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	return fmt.Sprintf("%s, %d cores, Linux %s, %s, %s", model, runtime.NumCPU(), strings.TrimSpace(string(kernel)), runtime.Version(), time.Now().UTC().Format("2006-01-02"))
}
