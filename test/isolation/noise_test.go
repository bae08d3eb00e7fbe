package isolation

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/lambdad/lambdad/test/house"
)

func TestMain(m *testing.M) { os.Exit(house.Main(m)) }

// noise is a function of the largest size that does, as long as it is asked to, what the event names.
const noise = `
import os, signal, socket, sys, time

def cpu(until):
    while time.monotonic() < until:
        sum(range(1000))

def everywhere(f, until):
    children = []
    for _ in range(2 * os.cpu_count()):
        pid = os.fork()
        if pid == 0:
            try:
                f(until)
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)

def forks(until):
    while time.monotonic() < until:
        children = []
        try:
            while time.monotonic() < until:
                pid = os.fork()
                if pid == 0:
                    time.sleep(60)
                    os._exit(0)
                children.append(pid)
        except OSError:
            pass
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

def memory(until):
    while time.monotonic() < until:
        block = bytearray(256 << 20)
        for i in range(0, len(block), 4096):
            block[i] = 1

def disk(until):
    block = b'x' * (1 << 20)
    n = 0
    while time.monotonic() < until:
        n += 1
        path = '/tmp/%d-%d' % (os.getpid(), n)
        try:
            with open(path, 'wb') as f:
                while time.monotonic() < until:
                    f.write(block)
                    f.flush()
                    os.fdatasync(f.fileno())
        except OSError:
            pass
        os.unlink(path)

def inodes(until):
    n = 0
    while time.monotonic() < until:
        n += 1
        os.close(os.open('/tmp/%d-%d' % (os.getpid(), n % 5000), os.O_CREAT | os.O_WRONLY))

def logs(until):
    line = 'x' * 1000 + '\n'
    while time.monotonic() < until:
        sys.stdout.write(line)

def flood(port, request):
    def run(until):
        while time.monotonic() < until:
            held = []
            try:
                for _ in range(20):
                    s = socket.create_connection(('127.0.0.1', port), timeout=1)
                    s.sendall(request)
                    held.append(s)
                for s in held:
                    s.recv(4096)
            except OSError:
                pass
            for s in held:
                s.close()
    return run

deeds = {
    'cpu': cpu, 'memory': memory, 'disk': disk, 'inodes': inodes, 'logs': logs,
    'runtime API': flood(9001, b'POST /2018-06-01/runtime/invocation/forged/response HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}'),
    'endpoint': flood(4566, b'POST /2015-03-31/functions/x/invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}'),
}

def handler(event, context):
    until = time.monotonic() + event['seconds']
    if event['deed'] == 'forks':
        forks(until)
    elif event['deed']:
        everywhere(deeds[event['deed']], until)
    return 'done'
`

const (
	// slowerMax is how much slower a neighbour may be for the noise.
	slowerMax = 1.5
	// A round measures one neighbour without and with the noise. Other load of the machine comes and goes by
	// the round: after roundsMin their median counts, and more are made, up to roundsMax, while it is too high.
	roundsMin, roundsMax = 3, 12
	noiseLasts           = 1500 * time.Millisecond
	invokesARound        = 40
)

// TestNoise: whatever a function does, the invokes of another answer as fast as without it.
func TestNoise(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	h := house.Start(t, "--log-level", "info")
	c := h.Client(t)
	c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("greedy"), MemorySize: aws.Int32(256), Timeout: aws.Int32(30)}, map[string]string{"app.py": noise})
	c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("noise"), MemorySize: aws.Int32(10240), Timeout: aws.Int32(30)}, map[string]string{"app.py": noise})
	c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("neighbour"), MemorySize: aws.Int32(1769)}, map[string]string{"app.py": "def handler(event, context):\n    return event\n"})
	median := func(t *testing.T) time.Duration {
		var took []time.Duration
		for range invokesARound {
			began := time.Now()
			if answer := c.With(t).Invoke("neighbour", "{}"); answer.Payload != "{}" {
				t.Fatalf("the neighbour answered %+v", answer)
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		return took[len(took)/2]
	}
	c.Invoke("neighbour", "{}")
	c.Invoke("noise", `{"deed":"","seconds":0}`)
	for _, deed := range []string{"cpu", "forks", "memory", "out of memory", "disk", "inodes", "logs", "runtime API", "endpoint"} {
		t.Run(deed, func(t *testing.T) {
			var ratios []float64
			for range roundsMax {
				alone := median(t)
				done := make(chan error, 1)
				go func() {
					done <- makeNoise(c, deed)
				}()
				time.Sleep(200 * time.Millisecond) // until it is loud
				with := median(t)
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				ratios = append(ratios, float64(with)/float64(alone))
				slices.Sort(ratios)
				t.Logf("alone %v, with %v", alone, with)
				if len(ratios) >= roundsMin && ratios[len(ratios)/2] <= slowerMax {
					return
				}
			}
			t.Errorf("slower by %s", strings.Trim(fmt.Sprintf("%.2f", ratios), "[]"))
		})
	}
}

// makeNoise returns when a deed has been done for long enough.
func makeNoise(c *house.Client, deed string) error {
	name := "noise"
	if deed == "out of memory" {
		name, deed = "greedy", "memory"
	}
	for until := time.Now().Add(noiseLasts); time.Now().Before(until); {
		// One that is killed is invoked again.
		if _, err := c.TryInvoke(name, fmt.Sprintf(`{"deed":%q,"seconds":%f}`, deed, time.Until(until).Seconds())); err != nil {
			return err
		}
	}
	return nil
}
