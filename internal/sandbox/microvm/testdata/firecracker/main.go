// Firecracker is a double of that program for tests: it takes the requests that the real
// one documents, in the order in which it takes them, and nothing else. In place of a guest
// it answers the line itself. A file beside it, named like it with ".mode", makes it
// fail: lines of a count, what to do (refuse, hang, die), and at which step.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

func main() {
	if len(os.Args) != 5 || os.Args[1] != "--api-sock" || os.Args[3] != "--id" {
		fmt.Println("usage: firecracker --api-sock PATH --id ID")
		os.Exit(2)
	}
	if obey("listen") {
		os.Exit(1)
	}
	listener, err := net.Listen("unix", os.Args[2])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	m := &machine{drives: map[string]*drive{}}
	fmt.Println(http.Serve(listener, m))
	os.Exit(1)
}

// obey does what the file says about a step; true asks the caller to refuse it.
func obey(step string) bool {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	content, err := os.ReadFile(self + ".mode")
	if err != nil {
		return false
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	for i, text := range lines {
		count, rest, _ := strings.Cut(text, " ")
		what, at, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(count)
		if err != nil || n == 0 || at != step {
			continue
		}
		lines[i] = fmt.Sprintf("%d %s", n-1, rest)
		if err := os.WriteFile(self+".mode", []byte(strings.Join(lines, "\n")), 0o666); err != nil {
			panic(err)
		}
		fmt.Println("double:", what, "at", step)
		switch what {
		case "hang":
			time.Sleep(time.Hour)
		case "die":
			os.Exit(3)
		}
		return true
	}
	return false
}

// Bodies of requests. Source: Firecracker's src/firecracker/swagger/firecracker.yaml.
type (
	machineConfig struct {
		VCPUs     int  `json:"vcpu_count"`
		MemoryMiB int  `json:"mem_size_mib"`
		SMT       bool `json:"smt"`
	}
	bootSource struct {
		Kernel string `json:"kernel_image_path"`
		Initrd string `json:"initrd_path"`
		Args   string `json:"boot_args"`
	}
	drive struct {
		ID       string `json:"drive_id"`
		Path     string `json:"path_on_host"`
		Root     *bool  `json:"is_root_device"`
		ReadOnly bool   `json:"is_read_only"`
	}
	partialDrive struct {
		ID   string `json:"drive_id"`
		Path string `json:"path_on_host"`
	}
	vsock struct {
		CID  int    `json:"guest_cid"`
		Path string `json:"uds_path"`
	}
	action struct {
		Type string `json:"action_type"`
	}
	vm struct {
		State string `json:"state"`
	}
	snapshotCreate struct {
		Type   string `json:"snapshot_type"`
		State  string `json:"snapshot_path"`
		Memory string `json:"mem_file_path"`
	}
	snapshotLoad struct {
		State  string `json:"snapshot_path"`
		Memory struct {
			Type string `json:"backend_type"`
			Path string `json:"backend_path"`
		} `json:"mem_backend"`
		Resume bool `json:"resume_vm"`
	}
)

// machine is one, from its configuration on.
type machine struct {
	mu      sync.Mutex
	touched bool   // something was configured
	state   string // "", Running, Paused
	config  machineConfig
	boot    bootSource
	drives  map[string]*drive
	vsock   vsock
	guest   *guestDouble
}

// kept is what a snapshot's state holds.
type kept struct {
	Config machineConfig
	Drives map[string]*drive
	Vsock  vsock
}

func (m *machine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	step := r.Method + " " + r.URL.Path
	fmt.Println(step, string(body))
	if err == nil {
		if obey(step) {
			err = errors.New("refused for a test")
		} else {
			m.mu.Lock()
			err = m.do(r.Method, r.URL.Path, body)
			m.mu.Unlock()
		}
	}
	if err != nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"fault_message":%q}`, err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func read(body []byte, v any) error {
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

func readable(paths ...string) error {
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		f.Close()
	}
	return nil
}

func (d *drive) open() error {
	flags := os.O_RDWR
	if d.ReadOnly {
		flags = os.O_RDONLY
	}
	f, err := os.OpenFile(d.Path, flags, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

func (m *machine) do(method, path string, body []byte) error {
	before := []string{"/machine-config", "/boot-source", "/vsock", "/entropy"}
	if method == "PUT" && (slices.Contains(before, path) || strings.HasPrefix(path, "/drives/")) {
		if m.state != "" {
			return errors.New("The requested operation is not supported after starting the microVM.")
		}
		m.touched = true
	}
	switch step := method + " " + path; {
	case step == "PUT /machine-config":
		if err := read(body, &m.config); err != nil || m.config.VCPUs < 1 || m.config.VCPUs > 32 || m.config.MemoryMiB < 1 {
			return fmt.Errorf("The vCPU number or memory size is invalid: %v", err)
		}
		return nil
	case step == "PUT /boot-source":
		if err := read(body, &m.boot); err != nil {
			return err
		}
		return readable(m.boot.Kernel, m.boot.Initrd)
	case step == "PUT /vsock":
		if err := read(body, &m.vsock); err != nil || m.vsock.CID < 3 || m.vsock.Path == "" {
			return fmt.Errorf("a vsock: %v", err)
		}
		return nil
	case step == "PUT /entropy":
		return read(body, &struct{}{})
	case method == "PUT" && strings.HasPrefix(path, "/drives/"):
		var d drive
		if err := read(body, &d); err != nil || d.Root == nil || *d.Root || d.ID != path[len("/drives/"):] {
			return fmt.Errorf("a drive: %v", err)
		}
		m.drives[d.ID] = &d
		return d.open()
	case method == "PATCH" && strings.HasPrefix(path, "/drives/"):
		var change partialDrive
		if err := read(body, &change); err != nil {
			return err
		}
		d := m.drives[path[len("/drives/"):]]
		if m.state == "" || d == nil || d.ID != change.ID {
			return errors.New("no such drive in a machine that runs")
		}
		d.Path = change.Path
		return d.open()
	case step == "PUT /actions":
		var a action
		if err := read(body, &a); err != nil || a.Type != "InstanceStart" || m.boot.Kernel == "" || m.state != "" {
			return fmt.Errorf("it cannot be started: %v", err)
		}
		return m.run(true)
	case step == "PATCH /vm":
		var v vm
		if err := read(body, &v); err != nil {
			return err
		}
		return m.change(v.State)
	case step == "PUT /snapshot/create":
		var s snapshotCreate
		if err := read(body, &s); err != nil || s.Type != "Full" || m.state != "Paused" {
			return fmt.Errorf("a snapshot of a machine that is %q: %v", m.state, err)
		}
		return m.save(s)
	case step == "PUT /snapshot/load":
		var s snapshotLoad
		if err := read(body, &s); err != nil || s.Memory.Type != "File" || m.touched || m.state != "" {
			return fmt.Errorf("Loading a microVM snapshot not allowed after configuring boot-specific resources: %v", err)
		}
		return m.load(s)
	}
	return fmt.Errorf("Invalid request method and/or path: %s %s.", method, path)
}

// run is the machine's beginning: its socket is there, and its guest calls.
func (m *machine) run(booted bool) error {
	if _, err := net.Listen("unix", m.vsock.Path); err != nil {
		return err
	}
	m.state = "Paused"
	if !booted {
		return nil
	}
	return m.change("Resumed")
}

func (m *machine) change(state string) error {
	switch {
	case state == "Paused" && m.state == "Running":
		m.state = "Paused"
		m.guest.still.Lock()
	case state == "Resumed" && m.state == "Paused":
		m.state = "Running"
		if m.guest != nil {
			m.guest.still.Unlock()
			return nil
		}
		m.guest = &guestDouble{drives: m.drives, path: m.vsock.Path, booted: m.boot.Kernel != ""}
		go m.guest.live()
	default:
		return fmt.Errorf("%s is not possible for a machine that is %q", state, m.state)
	}
	return nil
}

const marker = "what the guest's memory holds"

func (m *machine) save(s snapshotCreate) error {
	memory, err := os.Create(s.Memory)
	if err != nil {
		return err
	}
	if err := memory.Truncate(int64(m.config.MemoryMiB) << 20); err != nil {
		return err
	}
	// The real one writes all pages; a few are enough to see that zeros are given back.
	if _, err := memory.WriteAt(make([]byte, 1<<20), 0); err != nil {
		return err
	}
	if _, err := memory.WriteAt([]byte(marker), 2<<20); err != nil {
		return err
	}
	content, err := json.Marshal(kept{m.config, m.drives, m.vsock})
	if err != nil {
		return err
	}
	return errors.Join(memory.Close(), os.WriteFile(s.State, content, 0o600))
}

func (m *machine) load(s snapshotLoad) error {
	content, err := os.ReadFile(s.State)
	if err != nil {
		return err
	}
	var k kept
	if err := read(content, &k); err != nil {
		return err
	}
	memory, err := os.Open(s.Memory.Path)
	if err != nil {
		return err
	}
	got := make([]byte, len(marker))
	if _, err := memory.ReadAt(got, 2<<20); err != nil || string(got) != marker {
		return fmt.Errorf("the memory holds %q: %v", got, err)
	}
	m.config, m.drives, m.vsock = k.Config, k.Drives, k.Vsock
	for _, d := range m.drives {
		if err := d.open(); err != nil {
			return err
		}
	}
	if err := m.run(false); err != nil || !s.Resume {
		return err
	}
	return m.change("Resumed")
}
