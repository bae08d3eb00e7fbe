// Command runner runs `go test` over the packages given and tells the result so
// that a person sees what failed and what was skipped and why: the output of failed tests,
// a list of the skips, and one last line of counts.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"sort"
	"strings"
)

// event is a line of `go test -json` (see `go doc test2json`).
type event struct {
	Action  string
	Package string
	Test    string
	Elapsed float64
	Output  string
	// ImportPath names the package whose build failed.
	ImportPath string
}

// noReason counts as a failure: who reads that a test was skipped must know why.
const noReason = "no reason given"

type result struct {
	passed, failed int
	skips          map[string]int // reason -> tests
	output         map[string][]string
}

func main() {
	// Two packages at a time: many of them start servers and sandboxes of their own.
	args := append([]string{"test", "-json", "-count=1", "-p=2", "-timeout=20m"}, os.Args[1:]...)
	cmd := exec.Command("go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		fatal(err)
	}
	if err := cmd.Start(); err != nil {
		fatal(err)
	}
	r := result{skips: map[string]int{}, output: map[string][]string{}}
	lines := bufio.NewScanner(out)
	lines.Buffer(make([]byte, 1<<20), 64<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text())
			continue
		}
		r.take(e)
	}
	if err := lines.Err(); err != nil {
		fatal(err)
	}
	err = cmd.Wait()
	r.print()
	if err != nil || r.failed > 0 {
		os.Exit(1)
	}
}

func (r *result) take(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		r.output[key] = append(r.output[key], e.Output)
	case "build-output":
		fmt.Print(e.Output)
	case "pass":
		r.count(e, &r.passed)
		delete(r.output, key)
	case "skip":
		if e.Test != "" {
			reason := skipReason(r.output[key])
			if reason == noReason {
				fmt.Printf("--- FAIL %s: skipped, %s\n", key, reason)
				r.failed++
			}
			r.skips[reason]++
		}
		delete(r.output, key)
	case "fail":
		fmt.Printf("--- FAIL %s\n%s", key, strings.Join(r.output[key], ""))
		r.count(e, &r.failed)
		delete(r.output, key)
	}
}

// count counts tests; a package's own result is a line of progress, and counts
// only if it failed without a failed test (a crash, a build error).
func (r *result) count(e event, n *int) {
	if e.Test != "" {
		*n++
		return
	}
	verdict := "ok  "
	if e.Action == "fail" {
		verdict = "FAIL"
		*n++
	}
	fmt.Printf("%s %s %.1fs\n", verdict, e.Package, e.Elapsed)
}

// logged is a line of a test's log; a suite's tests skip in files of any name.
var logged = regexp.MustCompile(`^\s*\S+\.go:\d+: (.+)$`)

// skipReason is the text that the test gave to Skip.
func skipReason(output []string) string {
	for _, line := range output { // what is logged after it comes from cleanups
		if m := logged.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
			return strings.TrimSpace(m[1])
		}
	}
	return noReason
}

func (r *result) print() {
	total := 0
	reasons := make([]string, 0, len(r.skips))
	for reason, n := range r.skips {
		total += n
		reasons = append(reasons, fmt.Sprintf("skipped %d: %s", n, reason))
	}
	sort.Strings(reasons)
	for _, line := range reasons {
		fmt.Println(line)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", r.passed, r.failed, total)
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "runner:", err)
	os.Exit(1)
}
