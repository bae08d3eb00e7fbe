package recorded_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/lambdad/lambdad/test/house"
)

// client sends signed requests and gives answers in the form of the recordings: the
// decoded body with the status in ResponseMetadata.
type client struct {
	house *house.House
	sdk   *house.Client
	keys  aws.Credentials
	role  string
}

func newClient(t *testing.T, h *house.House) *client {
	t.Helper()
	sdk := h.Client(t)
	keys, err := sdk.Config.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &client{house: h, sdk: sdk, keys: keys, role: sdk.Role}
}

func (c *client) do(t *testing.T, method, path string, header map[string]string, body []byte) (*http.Response, []byte) {
	t.Helper()
	return c.signed(t, "lambda", method, path, header, body)
}

// queue is a request to SQS.
func (c *client) queue(t *testing.T, operation string, in map[string]any) map[string]any {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	response, answer := c.signed(t, "sqs", http.MethodPost, "/", map[string]string{"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS." + operation}, body)
	return envelope(t, response, answer)
}

func (c *client) signed(t *testing.T, service, method, path string, header map[string]string, body []byte) (*http.Response, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, c.house.Endpoint+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		request.Header.Set(k, v)
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(t.Context(), c.keys, request, hex.EncodeToString(sum[:]), service, c.house.Region, time.Now()); err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, answer
}

// call is a request with JSON in and out.
func (c *client) call(t *testing.T, method, path string, in any) map[string]any {
	t.Helper()
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			t.Fatal(err)
		}
	}
	response, answer := c.do(t, method, path, map[string]string{"Content-Type": "application/json"}, body)
	return envelope(t, response, answer)
}

// invoke decodes the payload too where it is JSON.
func (c *client) invoke(t *testing.T, function, qualifier string, header map[string]string, payload []byte) map[string]any {
	t.Helper()
	path := "/2015-03-31/functions/" + function + "/invocations"
	if qualifier != "" {
		path += "?Qualifier=" + strings.ReplaceAll(qualifier, "$", "%24")
	}
	response, answer := c.do(t, http.MethodPost, path, header, payload)
	if response.StatusCode >= 300 {
		return envelope(t, response, answer)
	}
	out := map[string]any{"StatusCode": response.StatusCode, "Payload": string(answer), "ResponseMetadata": map[string]any{"HTTPStatusCode": response.StatusCode}}
	var decoded any
	if json.Unmarshal(answer, &decoded) == nil {
		if _, isString := decoded.(string); !isString {
			out["Payload"] = decoded
		}
	}
	for header, member := range map[string]string{"X-Amz-Executed-Version": "ExecutedVersion", "X-Amz-Function-Error": "FunctionError"} {
		if v := response.Header.Get(header); v != "" {
			out[member] = v
		}
	}
	return out
}

// envelope adds what boto3 adds to an answer: the status, and for an error its code and message.
func envelope(t *testing.T, response *http.Response, body []byte) map[string]any {
	t.Helper()
	out := map[string]any{}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &out); err != nil {
			t.Fatalf("not a JSON object: %v: %s", err, body)
		}
	}
	out["ResponseMetadata"] = map[string]any{"HTTPStatusCode": response.StatusCode}
	if response.StatusCode >= 300 {
		message, ok := out["message"]
		if !ok {
			message = out["Message"]
		}
		code, _, _ := strings.Cut(response.Header.Get("X-Amzn-Errortype"), ":")
		out["Error"] = map[string]any{"Code": code, "Message": message}
	}
	return out
}

// create makes a function and returns CreateFunction's answer.
func (c *client) create(t *testing.T, in map[string]any, files map[string]string) map[string]any {
	t.Helper()
	in["Role"] = c.role
	in["Code"] = map[string]any{"ZipFile": house.Zip(t, files)}
	return c.call(t, http.MethodPost, "/2015-03-31/functions", in)
}

// wait polls until the function is settled.
func (c *client) wait(t *testing.T, name string) map[string]any {
	t.Helper()
	for range 200 {
		got := c.call(t, http.MethodGet, "/2015-03-31/functions/"+name, nil)
		config, _ := got["Configuration"].(map[string]any)
		if config["State"] == "Failed" && config["StateReasonCode"] == "InvalidRuntime" {
			t.Skipf("needs an interpreter for %v", config["Runtime"])
		}
		if config["State"] == "Failed" {
			t.Fatalf("%s: %v", name, config["StateReason"])
		}
		if config["State"] == "Active" && config["LastUpdateStatus"] == "Successful" {
			return got
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s does not settle", name)
	return nil
}
