package container_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container"
	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
)

// TestInterpreters: the host's interpreters run under the allow-list, and what
// they do beside arithmetic works: threads, children, sockets, names, time.
func TestInterpreters(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	d, err := container.New(container.Options{StateDir: t.TempDir(), Init: sandboxtest.Build(t, sandboxtest.InitPackage)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	h := sandboxtest.NewHarness(t, d)
	mounts := []sandbox.Mount{{Source: "/usr", Target: "/usr"}}
	for _, dir := range []string{"/etc/alternatives", "/etc/java-17-openjdk", "/etc/java-21-openjdk", "/etc/ssl"} {
		if _, err := os.Stat(dir); err == nil {
			mounts = append(mounts, sandbox.Mount{Source: dir, Target: dir})
		}
	}
	java := t.TempDir()
	source := `import java.net.*; import java.nio.file.*;
class T { public static void main(String[] a) throws Exception {
 Thread t = new Thread(() -> System.out.print("thread ")); t.start(); t.join();
 try (ServerSocket s = new ServerSocket(0, 1, InetAddress.getLoopbackAddress()); Socket c = new Socket(s.getInetAddress(), s.getLocalPort())) { System.out.print("socket "); }
 Files.writeString(Path.of("/tmp/x"), "y"); System.out.println(new ProcessBuilder("/usr/bin/true").start().waitFor()); } }`
	if err := os.WriteFile(filepath.Join(java, "T.java"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		program string
		args    []string
		want    string
	}{
		{"/usr/bin/python3", []string{"-c", `
import threading, subprocess, socket, tempfile, os, time, select, signal, json, ctypes
t = threading.Thread(target=lambda: print("thread", end=" ")); t.start(); t.join()
s = socket.create_server(("127.0.0.1", 0)); c = socket.create_connection(s.getsockname()); print("socket", end=" ")
try: socket.getaddrinfo("example.invalid", 80)
except socket.gaierror: print("name", end=" ")
with tempfile.NamedTemporaryFile() as f: f.write(b"x"); f.flush(); os.fsync(f.fileno())
p = select.epoll(); os.getrandom(8); time.sleep(0.001); os.listxattr("/tmp"); os.sched_getaffinity(0)
if os.fork() == 0: os._exit(0)
os.wait()
print(subprocess.run(["/usr/bin/true"]).returncode)`}, "thread socket name 0"},
		{"/usr/bin/node", []string{"-e", `
const { Worker } = require("worker_threads"), net = require("net"), fs = require("fs"), os = require("os"), cp = require("child_process");
os.networkInterfaces(); fs.writeFileSync("/tmp/x", "y"); require("crypto").randomBytes(8);
fs.promises.readFile("/tmp/x").then(() => {
 const w = new Worker("require('worker_threads').parentPort.postMessage('thread')", { eval: true });
 w.on("message", m => { const s = net.createServer(c => c.end()).listen(0, "127.0.0.1", () => {
  net.connect(s.address().port, "127.0.0.1", () => { console.log(m, "socket", cp.spawnSync("/usr/bin/true").status); process.exit(0); }); }); });
});`}, "thread socket 0"},
		{"/usr/bin/ruby", []string{"-e", `
require "socket"; print Thread.new { "thread " }.value; s = TCPServer.new("127.0.0.1", 0); TCPSocket.new("127.0.0.1", s.addr[1]); print "socket "
File.write("/tmp/x", "y"); system("/usr/bin/true"); puts $?.exitstatus`}, "thread socket 0"},
		{"/usr/bin/java", []string{"-XX:+UseSerialGC", "-Xmx256m", "/var/task/T.java"}, "thread socket 0"},
	} {
		t.Run(filepath.Base(c.program), func(t *testing.T) {
			if _, err := exec.LookPath(c.program); err != nil {
				t.Skipf("%s is not installed", c.program)
			}
			s := h.Park(t, func(p *sandbox.ParkSpec) { p.Rootfs.Mounts = mounts })
			run := h.StartIn(t, s, func(s *sandbox.StartSpec) {
				s.Argv = append([]string{c.program}, c.args...)
				s.Env = []string{"PATH=/usr/bin", "HOME=/tmp", "LANG=C.UTF-8"}
				s.CodeDir = java
				s.Limits.MemoryMiB = 1024
			})
			if out, exit := run.Wait(t); !strings.HasSuffix(out, c.want) || exit.Code != 0 {
				t.Errorf("%s, %+v", out, exit)
			}
		})
	}
}
