package story

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/lambdad/lambdad/test/house"
)

const writer = `
import os, threading
def handler(event, context):
    what = event['write']
    if what == 'flood':
        line = b'f' * 1023 + b'\n'
        for _ in range(event['mib'] * 1024):
            os.write(1, line)
    if what == 'long':
        os.write(1, b'l' * 700_000 + b'\n')
    if what == 'binary':
        os.write(1, bytes(range(128, 256)) + b'\r\nx\x00y\n')
    if what == 'partial':
        os.write(2, b'no newline')
    if what == 'late':
        threading.Timer(0.02, lambda: os.write(1, b'late ' + context.aws_request_id.encode() + b'\n')).start()
    return context.aws_request_id
`

// TestOutput writes what programs write in practice, and more of it.
func TestOutput(t *testing.T) {
	h := house.Start(t)
	c := h.Client(t)
	name := c.Function(lambda.CreateFunctionInput{MemorySize: aws.Int32(1769), Timeout: aws.Int32(60)}, map[string]string{"app.py": writer})
	write := func(t *testing.T, what string) (id, log string) {
		t.Helper()
		answer := c.Invoke(name, what)
		if answer.FunctionError != "" {
			t.Fatal(answer.Payload)
		}
		return strings.Trim(answer.Payload, `"`), answer.Log
	}
	t.Run("binary", func(t *testing.T) {
		if _, log := write(t, `{"write":"binary"}`); !strings.Contains(log, string([]byte{0xfe, 0xff})+"\r\nx\x00y\nEND RequestId") {
			t.Errorf("%q", log)
		}
		c.LogLines(name, "x\x00y\n")
	})
	t.Run("partial last line", func(t *testing.T) {
		id, log := write(t, `{"write":"partial"}`)
		if !strings.Contains(log, "\nno newlineEND RequestId: "+id) {
			t.Errorf("%q", log)
		}
		c.LogLines(name, "no newline")
	})
	t.Run("after the answer", func(t *testing.T) {
		id, log := write(t, `{"write":"late"}`)
		c.LogLines(name, "late "+id)
		if _, next := write(t, `{"write":"nothing"}`); strings.Contains(log+next, "late "+id) && !strings.Contains(log, "late "+id+"\nEND") {
			t.Errorf("in the tail of another invoke: %q", next)
		}
	})
	t.Run("long line", func(t *testing.T) {
		if id, log := write(t, `{"write":"long"}`); len(log) > 4096 || !strings.Contains(log, "l\nEND RequestId: "+id) {
			t.Errorf("%d bytes of tail, %q", len(log), log[max(0, len(log)-300):])
		}
		// It comes in several events, and a stream takes only so much at a time.
		total := 0
		for deadline := time.Now().Add(10 * time.Second); total < 700_000 && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			total = 0
			for _, line := range c.LogLines(name, "lll") {
				if len(line) > 256<<10 {
					t.Errorf("an event of %d bytes", len(line))
				}
				if strings.HasPrefix(line, "ll") {
					total += strings.Count(line, "l")
				}
			}
		}
		if total != 700_000 {
			t.Errorf("%d bytes of the line are there", total)
		}
	})
	t.Run("flood", func(t *testing.T) {
		const mib = 32 // twice what one search reads
		if _, log := write(t, fmt.Sprintf(`{"write":"flood","mib":%d}`, mib)); len(log) != 4096 {
			t.Errorf("%d bytes of tail", len(log))
		}
		n := 0
		for _, line := range c.LogLines(name, "fff") {
			if strings.HasPrefix(line, "fff") {
				n++
			}
		}
		if n != mib*1024 {
			t.Errorf("%d of %d lines", n, mib*1024)
		}
	})
}
