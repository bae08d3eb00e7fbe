// Command streaming is a runtime of one's own that streams its answers, as AWS's guide to custom
// runtimes says: in chunks, with an error amid the answer in the trailer.
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

type event struct {
	RawPath string `json:"rawPath"` // set by a URL
	Error   string `json:"error"`   // the type of an error amid the answer
}

func main() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		next, err := http.Get(api + "next")
		if err != nil {
			log.Fatal(err)
		}
		var e event
		if err := json.NewDecoder(next.Body).Decode(&e); err != nil {
			log.Fatal(err)
		}
		next.Body.Close()
		if err := answer(api+next.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", e); err != nil {
			log.Fatal(err)
		}
	}
}

func answer(url string, e event) error {
	body, out := io.Pipe()
	r, err := http.NewRequest(http.MethodPost, url, body)
	if err != nil {
		return err
	}
	r.Header.Set("Lambda-Runtime-Function-Response-Mode", "streaming")
	r.Header.Set("Content-Type", "application/octet-stream")
	if e.RawPath != "" {
		r.Header.Set("Content-Type", "application/vnd.awslambda.http-integration-response")
	}
	r.Trailer = http.Header{"Lambda-Runtime-Function-Error-Type": nil, "Lambda-Runtime-Function-Error-Body": nil}
	go func() {
		if e.RawPath != "" {
			fmt.Fprintf(out, `{"statusCode":202,"headers":{"content-type":"text/plain","x-path":%q},"cookies":["a=b"]}`, e.RawPath)
			out.Write(make([]byte, 8))
		}
		io.WriteString(out, "first ")
		time.Sleep(time.Second)
		if e.RawPath == "/amid" {
			e.Error = "Function.Custom"
		}
		if e.Error != "" {
			what, err := json.Marshal(map[string]string{"errorType": e.Error, "errorMessage": "too late"})
			if err != nil {
				log.Fatal(err)
			}
			r.Trailer.Set("Lambda-Runtime-Function-Error-Type", e.Error)
			r.Trailer.Set("Lambda-Runtime-Function-Error-Body", base64.StdEncoding.EncodeToString(what))
		} else {
			fmt.Fprint(out, time.Now().UnixMilli())
		}
		out.Close()
	}()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusAccepted {
		return fmt.Errorf("%s, %v", res.Status, err)
	}
	return nil
}
