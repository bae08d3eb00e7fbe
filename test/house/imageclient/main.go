// Command imageclient is what the images of these tests hold: as /lambda-entrypoint it does what the
// script of that name does in AWS's base images, and as /var/runtime/bootstrap it is a runtime
// interface client that answers what it sees.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	if filepath.Base(os.Args[0]) == "lambda-entrypoint" {
		os.Setenv("_HANDLER", os.Args[1])
		err := syscall.Exec("/var/runtime/bootstrap", append([]string{"/var/runtime/bootstrap"}, os.Args[1:]...), os.Environ())
		fmt.Println(err)
		os.Exit(1)
	}
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		next, err := http.Get(api + "next")
		if err != nil {
			os.Exit(1)
		}
		event, _ := io.ReadAll(next.Body)
		next.Body.Close()
		body, _ := json.Marshal(seen(event))
		res, err := http.Post(api+next.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", "application/json", bytes.NewReader(body))
		if err != nil {
			os.Exit(1)
		}
		res.Body.Close()
	}
}

func seen(event []byte) map[string]any {
	dir, _ := os.Getwd()
	read := func(name string) string {
		raw, _ := os.ReadFile(name)
		return strings.TrimSpace(string(raw))
	}
	return map[string]any{
		"event": json.RawMessage(event), "args": os.Args[1:], "dir": dir, "handler": os.Getenv("_HANDLER"),
		"fromImage": os.Getenv("FROM_IMAGE"), "both": os.Getenv("BOTH"), "execution": os.Getenv("AWS_EXECUTION_ENV"), "libraries": os.Getenv("LD_LIBRARY_PATH"),
		"task": read("/var/task/file"), "opt": read("/opt/file"), "version": read("/version"), "gone": read("/gone"),
		"writesRoot": os.WriteFile("/version", nil, 0o600) == nil, "writesTask": os.WriteFile("/var/task/x", nil, 0o600) == nil,
		"writesTmp": os.WriteFile("/tmp/x", nil, 0o600) == nil, "uid": os.Getuid(),
	}
}
