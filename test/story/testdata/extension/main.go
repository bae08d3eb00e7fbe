// An external extension for tests: it does what PROBE in its environment says, and prints what happens to it.
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
	"time"
)

func main() {
	name := filepath.Base(os.Args[0])
	if own := os.Getenv("PROBE_NAME"); own != "" { // from a script of that name
		name = own
	}
	deed := os.Getenv("PROBE")
	if deed == "crash" {
		fmt.Println("probe crashes")
		os.Exit(3)
	}
	events := `{"events":["INVOKE","SHUTDOWN"]}`
	if deed == "deaf" {
		events = `{"events":[]}`
	}
	head, body := call("POST", "register", events, "Lambda-Extension-Name", name, "Lambda-Extension-Accept-Feature", "accountId")
	fmt.Println("probe registered:", body)
	id := head.Get("Lambda-Extension-Identifier")
	if deed == "init error" {
		_, body := call("POST", "init/error", `{"errorMessage":"no"}`, "Lambda-Extension-Identifier", id, "Lambda-Extension-Function-Error-Type", "Extension.NoConfig")
		fmt.Println("probe told:", body)
		os.Exit(1)
	}
	fmt.Println("probe sees handler:", os.Getenv("_HANDLER")+os.Getenv("LAMBDA_TASK_ROOT"), "region:", os.Getenv("AWS_REGION"))
	for {
		_, body := call("GET", "event/next", "", "Lambda-Extension-Identifier", id)
		var event struct {
			EventType, RequestID, ShutdownReason, InvokedFunctionArn string
			DeadlineMs                                               int64
		}
		if err := json.Unmarshal([]byte(body), &event); err != nil {
			panic(err)
		}
		left := time.Until(time.UnixMilli(event.DeadlineMs)).Round(100 * time.Millisecond)
		if event.EventType == "SHUTDOWN" {
			fmt.Println("probe: SHUTDOWN", event.ShutdownReason, left > 0 && left <= 2*time.Second)
			return
		}
		fmt.Println("probe:", event.EventType, event.RequestID, strings.HasSuffix(event.InvokedFunctionArn, ":function:"+os.Getenv("AWS_LAMBDA_FUNCTION_NAME")), left > 0)
		switch deed {
		case "late":
			time.Sleep(3 * time.Second)
			fmt.Println("probe is late")
		case "too late":
			time.Sleep(time.Minute)
		case "dies":
			time.Sleep(100 * time.Millisecond)
			os.Exit(0)
		case "exit error":
			call("POST", "exit/error", `{}`, "Lambda-Extension-Identifier", id, "Lambda-Extension-Function-Error-Type", "Extension.Tired")
			os.Exit(7)
		}
	}
}

// call makes a request of the Extensions API.
func call(method, path, body string, fields ...string) (http.Header, string) {
	req, err := http.NewRequest(method, "http://"+os.Getenv("AWS_LAMBDA_RUNTIME_API")+"/2020-01-01/extension/"+path, bytes.NewBufferString(body))
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
	if err != nil || res.StatusCode >= 300 {
		panic(fmt.Sprint(res.Status, string(answer), err))
	}
	return res.Header, strings.TrimSpace(string(answer))
}
