package sandboxtest

import (
	"os"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/sandbox"
)

// threadsInit is a program with threads that wait for each other, a pipe that it
// watches, and a file of which it has read a part.
const threadsInit = `
import select, threading
readable, writable = os.pipe()
poll = select.epoll()
poll.register(readable, select.EPOLLIN)
source = open("/var/task/program.py", "rb", buffering=0)
source.read(7)
turn, done, lines = threading.Event(), threading.Event(), []
def serve():
    turn.wait()
    lines.append("served")
    os.write(writable, b"x")
    done.set()
for _ in range(3): threading.Thread(target=threading.Event().wait, daemon=True).start()
threading.Thread(target=serve, daemon=True).start()
`

// testThreads: where threads are allowed, all of them go on in a copy, and with them what
// they wait for and what they have open; no copy has any of it in common with another.
func testThreads(t *testing.T, s *templates) {
	made := s.templateOf(t, func(spec *sandbox.StartSpec) { spec.Threads = true }, threadsInit)
	const serve = `
turn.set(); done.wait()
found = [fd == readable for fd, _ in poll.poll(5)]
os.read(readable, 1)
print(lines, found, len(poll.poll(0)), source.read(7) == open("/var/task/program.py", "rb").read(14)[7:], len(os.listdir("/proc/self/task")), flush=True)
os._exit(0)
`
	for range 3 {
		if out, exit := s.copy(t, made, nil).do(t, serve); exit.Code != 0 || !strings.HasPrefix(out, "['served'] [True] 0 True ") {
			t.Errorf("wrote %q, ended with %+v", out, exit)
		}
	}
}

// nodeProgram is a program whose language has threads of its own: they resolve names,
// read files, and make random bytes, which must differ.
const nodeProgram = `
const crypto = require('crypto'), fs = require('fs'), net = require('net');
const drawn = crypto.randomBytes(4);
fs.readFile('/var/task/program.js', () => {});
function ask(copied) {
  let answer = '';
  const socket = net.connect(9001, '127.0.0.1', () => socket.write('GET /2018-06-01/runtime/restore/next HTTP/1.0\r\n\r\n'));
  socket.on('data', (part) => { answer += part; });
  let over = false;
  const end = () => {
    if (over) return;
    over = true;
    const at = answer.indexOf('\r\n\r\n');
    if (at < 0) return ask(true);
    const todo = answer.slice(at + 4);
    fs.readFile('/var/task/program.js', (error, content) => {
      crypto.pbkdf2('a', 'b', 10, 8, 'sha256', () => crypto.randomBytes(16, (_, bytes) => {
        console.log(copied, drawn.length, content.length > 100, crypto.randomBytes(16).toString('hex'), bytes.toString('hex'));
        process.exit(Number(todo));
      }));
    });
  };
  socket.on('end', end);
  socket.on('error', end);
  socket.on('close', end);
}
ask(false);
`

// testNode: a program that no fork of its own could copy.
func testNode(t *testing.T, s *templates) {
	if s.ownKernel {
		t.Skip("a copied kernel gives its copies the same process ids, by which OpenSSL tells that it must reseed: the runtime's client refuses")
	}
	if _, err := os.Stat(node); err != nil {
		t.Skipf("%s is not installed", node)
	}
	code := dirWith(t, "program.js", nodeProgram)
	change := func(spec *sandbox.StartSpec) {
		spec.Argv, spec.Env, spec.CodeDir, spec.Threads = []string{node, "/var/task/program.js"}, nil, code, true
		spec.Limits.MemoryMiB = 512
	}
	made := s.templateOf(t, change, "")
	drawn := map[string]bool{}
	for range 3 {
		out, exit := s.copy(t, made, change).do(t, "8")
		fields := strings.Fields(out)
		if exit.Code != 8 || len(fields) != 5 || fields[0] != "true" || fields[2] != "true" {
			t.Fatalf("wrote %q, ended with %+v", out, exit)
		}
		for _, bytes := range fields[3:] {
			if drawn[bytes] {
				t.Errorf("two copies drew %s", bytes)
			}
			drawn[bytes] = true
		}
	}
}

const node = "/usr/bin/node"
