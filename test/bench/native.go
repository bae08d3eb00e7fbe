package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// burstFunctions is how many environments benchNative has answering at once.
const burstFunctions = 1000

// benchNative invokes distinct functions of the smallest custom runtime there can be: what is left is
// the platform's own. Its peers start the same program with the same namespaces, limits and seccomp list.
func benchNative(ctx context.Context, b *bench) error {
	count, burst := 200, burstFunctions
	if b.quick {
		count, burst = 20, 50
	}
	dir, err := os.MkdirTemp("", "lambdad-bench-native-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // a mapped root passes through it
		return err
	}
	code := filepath.Join(dir, "code")
	if err := os.Mkdir(code, 0o755); err != nil {
		return err
	}
	if text, err := exec.CommandContext(ctx, "test/bench/testdata/native/build.sh", filepath.Join(code, "bootstrap")).CombinedOutput(); err != nil {
		return fmt.Errorf("build the native runtime: %w\n%s", err, text)
	}
	l := language{name: "native", runtime: types.RuntimeProvidedal2023, handler: "bootstrap", dir: code, once: []string{"/var/task/bootstrap"}}
	cold, err := coldInvokes(ctx, b, l, count)
	if err != nil {
		return err
	}
	rows := [][]string{{"lambdad, first invoke over HTTP and SigV4", fmt.Sprint(len(cold)), millis(cold.p50()), millis(cold.p99()), "1.00"}}
	for _, peer := range ociRuntimes() {
		s, err := confinedRuns(ctx, peer, l, filepath.Join(dir, peer.name), max(count/4, 10))
		if err != nil {
			rows = append(rows, []string{peer.name + " run", "-", "-", "-", "could not run: " + err.Error()})
			continue
		}
		rows = append(rows, []string{peer.name + " run, the same program to its end", fmt.Sprint(len(s)), millis(s.p50()), millis(s.p99()), ratio(cold.p50(), s.p50())})
	}
	b.report.table("Native: the smallest custom runtime, cold", []string{"what", "n", "p50 ms", "p99 ms", "lambdad's p50 / this"}, rows,
		"The peers have the same seven namespaces, memory, CPU and process limits, no capabilities, and lambdad's own list of system calls.")
	return benchBurst(ctx, b, l, burst)
}

// benchBurst has so many environments answer that none was there before.
func benchBurst(ctx context.Context, b *bench, l language, count int) error {
	const atOnce = 64
	s, err := startServer(ctx, b.lambdad, "--memory", "4000000")
	if err != nil {
		return err
	}
	defer s.stop()
	c, err := newCaller(ctx, s, atOnce)
	if err != nil {
		return err
	}
	name := func(i int) string { return fmt.Sprintf("burst-%04d", i) }
	code, err := zipDir(l.dir, "")
	if err != nil {
		return err
	}
	if err := forEach(count, 8, func(i int) error { return c.create(ctx, name(i), l, code) }); err != nil {
		return err
	}
	if err := c.waitActive(ctx, name(count-1)); err != nil {
		return err
	}
	free, err := availableKiB()
	if err != nil {
		return err
	}
	took, err := timed(func() error {
		return forEach(count, atOnce, func(i int) error { _, err := c.invoke(ctx, name(i), []byte("{}")); return err })
	})
	if err != nil {
		return err
	}
	left, err := availableKiB()
	if err != nil {
		return err
	}
	b.report.table(fmt.Sprintf("%d environments of it, each a function of its own, %d at a time", count, atOnce), []string{"until", "s"},
		[][]string{{"all have answered", seconds(took)}},
		fmt.Sprintf("Memory of the machine for each: %.0f KiB.", float64(free-left)/float64(count)))
	return nil
}

// confinedRuns runs a bundle that is confined as lambdad's sandboxes are.
func confinedRuns(ctx context.Context, peer ociRuntime, l language, dir string, count int) (sample, error) {
	if peer.skipped != "" {
		return nil, fmt.Errorf("%s", peer.skipped)
	}
	if err := bundle(dir, l.dir, l.mounts, l.once, nil); err != nil {
		return nil, err
	}
	if err := confine(filepath.Join(dir, "config.json")); err != nil {
		return nil, err
	}
	var all sample
	for i := range count {
		took, err := peer.runBundle(ctx, dir, fmt.Sprintf("lambdad-bench-%d-%d", os.Getpid(), i))
		if err != nil {
			return nil, err
		}
		all = append(all, took)
	}
	return all, nil
}

// confine adds to a bundle what lambdad's sandboxes have beyond it.
func confine(config string) error {
	text, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	var spec map[string]any
	if err := json.Unmarshal(text, &spec); err != nil {
		return err
	}
	calls, err := allowedCalls()
	if err != nil {
		return err
	}
	type object = map[string]any
	linux := spec["linux"].(object)
	linux["namespaces"] = append(linux["namespaces"].([]any), object{"type": "user"}, object{"type": "cgroup"})
	ids := []object{{"containerID": 0, "hostID": 1879048192, "size": 1}, {"containerID": 993, "hostID": 1879048193, "size": 1}}
	linux["uidMappings"], linux["gidMappings"] = ids, ids
	linux["seccomp"] = object{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []object{{"names": calls, "action": "SCMP_ACT_ALLOW"}}}
	linux["resources"] = object{"memory": object{"limit": functionMiB << 20}, "cpu": object{"quota": 20000, "period": 20000}, "pids": object{"limit": 1024}}
	spec["process"].(object)["user"] = object{"uid": 993, "gid": 993}
	if text, err = json.Marshal(spec); err != nil {
		return err
	}
	return os.WriteFile(config, text, 0o644)
}

// allowedCalls reads the names out of the list that lambdad's own filter is made of.
func allowedCalls() ([]string, error) {
	text, err := os.ReadFile("internal/sandbox/container/seccomp/calls.go")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, m := range regexp.MustCompile(`unix\.SYS_(\w+)`).FindAllStringSubmatch(string(text), -1) {
		names = append(names, strings.ToLower(m[1]))
	}
	// What the filter looks at more closely, and what every start needs.
	return append(names, "clone", "clone3", "socket", "socketpair", "ioctl", "arch_prctl", "newfstatat", "access", "open", "stat", "poll"), nil
}
