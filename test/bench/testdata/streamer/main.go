// Command streamer is a custom runtime that streams: it says when, on the machine's monotonic
// clock, and goes on for a while.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// hold is how long an answer goes on after its first line.
const hold = 50 * time.Millisecond

func main() {
	base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		if err := serve(base); err != nil {
			fmt.Fprintln(os.Stderr, "streamer:", err)
			os.Exit(1)
		}
	}
}

// serve takes one event and answers it.
func serve(base string) error {
	event, err := http.Get(base + "next")
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, event.Body); err != nil {
		return err
	}
	event.Body.Close()
	body, out := io.Pipe()
	go func() { out.CloseWithError(write(out)) }()
	request, err := http.NewRequest(http.MethodPost, base+event.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", body)
	if err != nil {
		return err
	}
	request.Header.Set("Lambda-Runtime-Function-Response-Mode", "streaming")
	request.Header.Set("Content-Type", "application/octet-stream")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	return err
}

func write(out io.Writer) error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "%d\n", now.Nano()); err != nil {
		return err
	}
	time.Sleep(hold)
	_, err := io.WriteString(out, "end")
	return err
}
