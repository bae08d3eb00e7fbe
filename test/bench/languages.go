package main

import (
	"os/exec"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// language is one way to run the same small handler.
type language struct {
	name    string
	runtime types.Runtime
	handler string
	dir     string
	// interpreter is the host's own, "" for provided; client is the folder of its runtime client.
	interpreter string
	client      string
	// once is a command that loads the same handler and calls it once, for the peers.
	once []string
	// mounts are folders outside of /usr that the interpreter needs.
	mounts []string
}

// languages are those that this machine has, each as the runtime that its own interpreter is, so
// that lambdad and its peers run the same one.
func (b *bench) languages() []language {
	var found []language
	if out, err := exec.Command("python3", "-c", "import sys; print(sys.version_info[1]); print(sys.base_prefix); print(sys.base_exec_prefix + '/bin/python3.%d' % sys.version_info[1])").Output(); err == nil {
		lines := strings.Fields(string(out))
		l := language{name: "Python 3." + lines[0], runtime: types.Runtime("python3." + lines[0]), handler: "app.handler", dir: "examples/python", interpreter: lines[2], client: "python"}
		if !strings.HasPrefix(lines[1], "/usr") {
			l.mounts = append(l.mounts, lines[1])
		}
		l.once = []string{l.interpreter, "-c", "import sys, json; sys.path.insert(0, '/var/task'); import app; print(json.dumps(app.handler({'name': 'bench'}, type('C', (), {'get_remaining_time_in_millis': lambda self: 1})())))"}
		found = append(found, l)
	}
	if out, err := exec.Command("node", "-p", "process.versions.node.split('.')[0] + ' ' + process.execPath").Output(); err == nil {
		fields := strings.Fields(string(out))
		l := language{name: "Node.js " + fields[0], runtime: types.Runtime("nodejs" + fields[0] + ".x"), handler: "index.handler", dir: "examples/nodejs", interpreter: fields[1], client: "nodejs"}
		l.once = []string{l.interpreter, "--input-type=module", "-e", "const m = await import('/var/task/index.mjs'); console.log(JSON.stringify(await m.handler({name: 'bench'}, {getRemainingTimeInMillis: () => 1})))"}
		found = append(found, l)
	}
	// A bootstrap has no way to be called but the Runtime API: the peers start it against a closed port,
	// where it ends at its first request.
	found = append(found, language{name: "Go (aws-lambda-go)", runtime: types.RuntimeProvidedal2023, handler: "bootstrap", dir: b.golang,
		once: []string{"/bin/sh", "-c", "AWS_LAMBDA_RUNTIME_API=127.0.0.1:1 /var/task/bootstrap >/dev/null 2>&1; true"}})
	return found
}
