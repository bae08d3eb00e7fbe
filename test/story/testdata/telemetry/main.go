// An external extension for tests: it subscribes as SUBSCRIPTION in its environment says, keeps what it is
// told, and prints it when it is asked to end.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

type event struct {
	Time, Type string
	Record     json.RawMessage
}

var (
	mu   sync.Mutex
	seen []event
)

func keep(list ...event) {
	mu.Lock()
	defer mu.Unlock()
	seen = append(seen, list...)
}

// knows reports whether an event of the type names the request.
func knows(kind, request string) bool {
	mu.Lock()
	defer mu.Unlock()
	for _, e := range seen {
		if e.Type == kind && strings.Contains(string(e.Record), request) {
			return true
		}
	}
	return false
}

func main() {
	head, _ := call("POST", "/2020-01-01/extension/register", `{"events":["INVOKE","SHUTDOWN"]}`, "Lambda-Extension-Name", filepath.Base(os.Args[0]))
	id := head.Get("Lambda-Extension-Identifier")
	listen()
	path, body, _ := strings.Cut(os.Getenv("SUBSCRIPTION"), " ")
	subscribe := func() bool {
		_, answer := call("PUT", path, body, "Lambda-Extension-Identifier", id)
		fmt.Println("sink subscribes:", answer)
		return strings.HasPrefix(answer, "200 ") && os.Getenv("DEAF") == ""
	}
	subscribed := subscribe()
	for {
		_, answer := call("GET", "/2020-01-01/extension/event/next", "", "Lambda-Extension-Identifier", id)
		_, body, _ := strings.Cut(answer, " ")
		var e struct{ EventType, RequestID string }
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			panic(err)
		}
		if e.EventType == "SHUTDOWN" {
			time.Sleep(100 * time.Millisecond)
			mu.Lock()
			for _, e := range seen {
				fmt.Println("sink has:", e.Type, string(e.Record), len(e.Time))
			}
			fmt.Println("sink ends")
			return
		}
		if os.Getenv("AGAIN") != "" {
			subscribe()
		}
		began := time.Now()
		for subscribed && !knows("platform.runtimeDone", e.RequestID) && time.Since(began) < 5*time.Second {
			time.Sleep(time.Millisecond)
		}
		fmt.Println("sink knows that the runtime is done:", knows("platform.runtimeDone", e.RequestID))
	}
}

// listen takes events over HTTP and TCP.
func listen() {
	web, err := net.Listen("tcp", "sandbox.localdomain:8080")
	if err != nil {
		panic(err)
	}
	go http.Serve(web, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var batch []event
		if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
			fmt.Println("sink:", r.Method, err)
		}
		keep(batch...)
	}))
	raw, err := net.Listen("tcp", "0.0.0.0:8081")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			c, err := raw.Accept()
			if err != nil {
				return
			}
			go func() {
				lines := bufio.NewReader(c)
				for {
					line, err := lines.ReadBytes('\n')
					if err != nil {
						return
					}
					var e event
					if err := json.Unmarshal(line, &e); err != nil {
						fmt.Println("sink:", err)
					}
					keep(e)
				}
			}()
		}
	}()
}

func call(method, path, body string, fields ...string) (http.Header, string) {
	req, err := http.NewRequest(method, "http://"+os.Getenv("AWS_LAMBDA_RUNTIME_API")+path, bytes.NewBufferString(body))
	if err != nil {
		panic(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		panic(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		panic(err)
	}
	return res.Header, fmt.Sprint(res.StatusCode, " ", strings.TrimSpace(string(answer)))
}
