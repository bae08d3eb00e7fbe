// Command restored is a function that waits after its initialisation, in
// restore/next, until it is told who it is, and then answers one event. It
// speaks to the Runtime API without a client, so that nothing else is measured.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
)

func main() {
	for {
		if _, err := ask("GET /2018-06-01/runtime/restore/next", ""); err == nil {
			break
		} // the connection broke: this is a copy, and asks again
	}
	event, err := ask("GET /2018-06-01/runtime/invocation/next", "")
	if err != nil {
		os.Exit(1)
	}
	_, id, _ := strings.Cut(event, "Lambda-Runtime-Aws-Request-Id: ")
	id, _, _ = strings.Cut(id, "\r")
	if _, err := ask("POST /2018-06-01/runtime/invocation/"+id+"/response", `"done"`); err != nil {
		os.Exit(1)
	}
	select {}
}

// ask sends one request and returns the whole answer.
func ask(request, body string) (string, error) {
	c, err := net.Dial("tcp4", "127.0.0.1:9001")
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "%s HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s", request, len(body), body); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	if err == nil && !strings.HasPrefix(string(answer), "HTTP/1.") {
		err = io.ErrUnexpectedEOF
	}
	return string(answer), err
}
