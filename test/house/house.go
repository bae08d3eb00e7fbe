// Package house starts a whole lambdad for a test, as a user would: the built
// program, a data folder and a port of its own. It must never import a room:
// what it tests is what a client can see.
package house

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	readyMax = 30 * time.Second
	stopMax  = 30 * time.Second
)

// House is one running lambdad.
type House struct {
	Endpoint string // http://127.0.0.1:PORT
	Data     string
	Region   string

	t      testing.TB
	binary string
	args   []string
	listen string
	cmd    *exec.Cmd
	log    *lockedBuffer
	exited chan error
}

var (
	buildOnce sync.Once
	buildDir  string
	buildErr  error
)

// Main builds nothing yet, runs the tests, and removes what Start built. Call it
// from TestMain: os.Exit(house.Main(m)).
func Main(m *testing.M) int {
	code := m.Run()
	if buildDir != "" {
		os.RemoveAll(buildDir)
	}
	return code
}

// Binary is the built lambdad, built once a test process; LAMBDAD_TEST_BINARY
// names one that is built already.
func Binary(t testing.TB) string {
	t.Helper()
	if built := os.Getenv("LAMBDAD_TEST_BINARY"); built != "" {
		return built
	}
	buildOnce.Do(func() {
		buildDir, buildErr = os.MkdirTemp("", "lambdad-house-")
		if buildErr != nil {
			return
		}
		// Process 1 of a sandbox is found beside the program. One that an earlier `make build` left
		// to be embedded is not of this source.
		overlay, err := withoutEmbedded(buildDir)
		if err != nil {
			buildErr = err
			return
		}
		cmd := exec.Command("go", "build", "-trimpath", "-overlay", overlay, "-o", buildDir,
			"github.com/lambdad/lambdad/cmd/lambdad", "github.com/lambdad/lambdad/cmd/lambdad-gvisor-init")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			buildErr = fmt.Errorf("build lambdad: %w\n%s", err, out)
			return
		}
		buildErr = buildInit(filepath.Join(buildDir, "lambdad-init"))
	})
	if buildErr != nil {
		t.Fatal(buildErr)
	}
	return filepath.Join(buildDir, "lambdad")
}

// buildInit compiles process 1 of sandboxes, which is C.
func buildInit(path string) error {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/lambdad/lambdad").Output()
	if err != nil {
		return fmt.Errorf("find the sources: %w", err)
	}
	if out, err := exec.Command(filepath.Join(strings.TrimSpace(string(root)), "scripts", "init.sh"), path).CombinedOutput(); err != nil {
		return fmt.Errorf("build process 1 of sandboxes: %w\n%s", err, out)
	}
	return nil
}

// withoutEmbedded writes an overlay for go build in which no process 1 waits to be embedded.
func withoutEmbedded(dir string) (string, error) {
	replace := map[string]string{}
	for driver, name := range map[string]string{"container": "lambdad-init", "gvisor": "lambdad-gvisor-init"} {
		out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/lambdad/lambdad/internal/sandbox/"+driver).Output()
		if err != nil {
			return "", fmt.Errorf("find the sources: %w", err)
		}
		replace[filepath.Join(strings.TrimSpace(string(out)), "initbin", name)] = ""
	}
	content, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, content, 0o644)
}

// Start runs `lambdad serve` with the flags given on a free loopback port until
// the test ends. The runtimes are the nearest that the machine has unless a flag says
// otherwise.
func Start(t testing.TB, flags ...string) *House {
	t.Helper()
	NeedNamespaces(t, nil)
	h := &House{t: t, binary: Binary(t), Data: filepath.Join(t.TempDir(), "data"), Region: "us-east-1", listen: FreeAddress(t)}
	h.Endpoint = "http://" + h.listen
	h.args = append([]string{"serve", "--data", h.Data, "--listen", h.listen, "--region", h.Region, "--runtimes", "nearest", "--log-level", "debug"}, flags...)
	h.Run()
	t.Cleanup(func() {
		h.Stop()
		if t.Failed() {
			t.Logf("lambdad's log:\n%s", h.Log())
		}
	})
	return h
}

// NeedNamespaces skips the test where a user (nil: this one) may not make user namespaces, as in
// a chroot or a confined container: no sandbox starts there.
func NeedNamespaces(t testing.TB, user *syscall.Credential) {
	t.Helper()
	cmd := exec.Command("unshare", "--user", "--net", "true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("user namespaces are not allowed here: %v: %s", err, bytes.TrimSpace(out))
	}
}

// Run starts the program (again, after Stop or Kill) and waits until it is ready.
func (h *House) Run() {
	h.t.Helper()
	if h.log == nil {
		h.log = &lockedBuffer{}
	}
	h.cmd = exec.Command(h.binary, h.args...)
	h.cmd.Stdout, h.cmd.Stderr = h.log, h.log
	// A test process that is killed, by Ctrl-C or its time limit, cleans nothing up.
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	h.exited = make(chan error, 1)
	started := make(chan error)
	go func(cmd *exec.Cmd, exited chan error) {
		runtime.LockOSThread() // Pdeathsig goes by the thread that started the program
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			exited <- cmd.Wait()
		}
	}(h.cmd, h.exited)
	if err := <-started; err != nil {
		h.t.Fatal(err)
	}

	deadline := time.Now().Add(readyMax)
	for {
		response, err := http.Get(h.Endpoint + "/_lambdad/health")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case err := <-h.exited:
			h.exited <- err
			h.t.Fatalf("lambdad ended before it was ready: %v\n%s", err, h.Log())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("lambdad is not ready after %v\n%s", readyMax, h.Log())
		}
	}
}

// Stop ends the program as Ctrl-C does and waits until it drained.
func (h *House) Stop() {
	h.t.Helper()
	h.cmd.Process.Signal(os.Interrupt)
	select {
	case err := <-h.exited:
		h.exited <- err
	case <-time.After(stopMax):
		h.Kill()
		h.t.Errorf("lambdad did not stop within %v\n%s", stopMax, h.Log())
	}
}

// Signal sends a signal to the program and does not wait.
func (h *House) Signal(signal os.Signal) { h.cmd.Process.Signal(signal) }

// Wait waits until the program has ended.
func (h *House) Wait() {
	err := <-h.exited
	h.exited <- err
}

// Kill ends the program with SIGKILL, as a crash would.
func (h *House) Kill() {
	h.cmd.Process.Kill()
	h.Wait()
}

// Pid is the running program's.
func (h *House) Pid() int { return h.cmd.Process.Pid }

// Log is everything that the program printed.
func (h *House) Log() string { return h.log.String() }

// Env is the environment that points an AWS client at the house.
func (h *House) Env() []string {
	return []string{
		"AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(h.Data, "credentials"),
		"AWS_CONFIG_FILE=/dev/null",
		"AWS_ENDPOINT_URL=" + h.Endpoint,
		"AWS_REGION=" + h.Region,
		"AWS_DEFAULT_REGION=" + h.Region,
		"AWS_EC2_METADATA_DISABLED=true",
		"AWS_PAGER=",
	}
}

// Command is a client program in an environment that points at the house.
func (h *House) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(withoutAWS(os.Environ()), h.Env()...)
	return cmd
}

// Zip packs files given by name and content; a name that ends in * is made executable (the
// star is dropped).
func Zip(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for name, content := range files {
		header := &zip.FileHeader{Name: strings.TrimSuffix(name, "*"), Method: zip.Deflate}
		header.SetMode(0o644)
		if strings.HasSuffix(name, "*") {
			header.SetMode(0o755)
		}
		entry, err := w.CreateHeader(header)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entry.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// FreeAddress is a loopback address that nobody listens on. Its port is below those that Linux gives
// to outgoing connections, or one of these could take it before the program does, or between two starts.
func FreeAddress(t testing.TB) string {
	t.Helper()
	const first, count, tries = 10_000, 20_000, 100
	for range tries {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(first+rand.IntN(count))))
		if err == nil {
			l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no loopback port is free")
	return ""
}

func withoutAWS(env []string) []string {
	var kept []string
	for _, v := range env {
		if !strings.HasPrefix(v, "AWS_") {
			kept = append(kept, v)
		}
	}
	return kept
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
