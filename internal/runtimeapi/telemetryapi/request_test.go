package telemetryapi

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/telemetry/platform"
)

const good = `{"schemaVersion":"2022-12-13","types":["platform","function","platform"],"buffering":{"maxItems":1000,"maxBytes":1048576,"timeoutMs":25},
	"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:8080/logs?a=b"}}`

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		api  API
		body string
		want Subscription
	}{
		{Telemetry, good, Subscription{
			Schema: platform.Telemetry20221213, Types: []string{"platform", "function"}, Buffering: Buffering{1000, 1048576, 25 * time.Millisecond},
			Destination: Destination{Port: 8080, Method: "POST", Path: "/logs?a=b"},
		}},
		{Telemetry, `{"schemaVersion":"2025-01-29","types":["extension"],"destination":{"protocol":"TCP","port":1}}`, Subscription{
			Schema: platform.Telemetry20250129, Types: []string{"extension"}, Buffering: Buffering{10000, 262144, time.Second}, Destination: Destination{TCP: true, Port: 1},
		}},
		{Logs, `{"types":["function"],"destination":{"protocol":"HTTP","URI":"http://SANDBOX:65535","method":"PUT","encoding":"JSON"}}`, Subscription{
			API: Logs, Schema: platform.Logs20200815, Types: []string{"function"}, Buffering: Buffering{10000, 262144, time.Second},
			Destination: Destination{Port: 65535, Method: "PUT", Path: "/"},
		}},
		{Logs, `{"schemaVersion":"2021-03-18","types":["platform"],"buffering":{"timeoutMs":30000},"destination":{"protocol":"TCP","port":8080}}`, Subscription{
			API: Logs, Schema: platform.Logs20210318, Types: []string{"platform"}, Buffering: Buffering{10000, 262144, 30 * time.Second}, Destination: Destination{TCP: true, Port: 8080},
		}},
	} {
		got, err := Decode(c.api, []byte(c.body), 9001)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s\n%+v, %v", c.body, got, err)
		}
	}
}

// TestInvalid: each fault, and several in one message, as the guide's example has them.
func TestInvalid(t *testing.T) {
	const to = `"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:8080"}`
	const rest = `{"schemaVersion":"2022-07-01","types":["platform"],`
	for _, c := range []struct{ body, want string }{
		{`{"schemaVersion":"2022-07-01","types":[],"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain"}}`, "URI port is not provided; types should not be empty"},
		{`{}`, "schemaVersion is not provided; destination is not provided; types should not be empty"},
		{``, "the request is not valid JSON: "},
		{`[]`, "the request is not valid JSON: "},
		{`{"types":"platform"}`, "the request is not valid JSON: "},
		{`{"schemaVersion":"2020-08-15","types":["platform"],` + to + `}`, "schemaVersion should be one of [2022-07-01 2022-12-13 2025-01-29]"},
		{`{"schemaVersion":"2022-07-01","types":["platform","x"],` + to + `}`, "types should be of [platform function extension]"},
		{rest + `"buffering":{"maxItems":999},` + to + `}`, "buffering.maxItems should be an integer between 1000 and 10000"},
		{rest + `"buffering":{"maxItems":10001},` + to + `}`, "buffering.maxItems should"},
		{rest + `"buffering":{"maxItems":1000.5},` + to + `}`, "buffering.maxItems should"},
		{rest + `"buffering":{"maxBytes":262143},` + to + `}`, "buffering.maxBytes should be an integer between 262144 and 1048576"},
		{rest + `"buffering":{"maxBytes":1e300},` + to + `}`, "buffering.maxBytes should"},
		{rest + `"buffering":{"timeoutMs":24},` + to + `}`, "buffering.timeoutMs should be an integer between 25 and 30000"},
		{rest + `"buffering":{"timeoutMs":30001},` + to + `}`, "buffering.timeoutMs should"},
		{rest + `"destination":{}}`, "destination.protocol should be HTTP or TCP"},
		{rest + `"destination":{"protocol":"HTTP"}}`, "URI is not provided"},
		{rest + `"destination":{"protocol":"HTTP","URI":"https://sandbox.localdomain:1"}}`, "URI scheme should be http"},
		{rest + `"destination":{"protocol":"HTTP","URI":"http://example.com:80"}}`, "URI host should be sandbox.localdomain"},
		{rest + `"destination":{"protocol":"HTTP","URI":"http://169.254.169.254:80"}}`, "URI host should be sandbox.localdomain"},
		{rest + `"destination":{"protocol":"HTTP","URI":"http://a@sandbox:80"}}`, "URI host should be sandbox.localdomain"},
		{rest + `"destination":{"protocol":"HTTP","URI":"http://sandbox:0"}}`, "URI port is not valid"},
		{rest + `"destination":{"protocol":"HTTP","URI":"http://sandbox:80/a b\r\nX: y"}}`, "URI is not valid"},
		{rest + `"destination":{"protocol":"HTTP","URI":"http://sandbox:9001"}}`, "port 9001 is reserved"},
		{rest + `"destination":{"protocol":"HTTP","URI":"http://sandbox:1","method":"PUT"}}`, "destination.method should be POST"},
		{rest + `"destination":{"protocol":"HTTP","URI":"http://sandbox:1","encoding":"CBOR"}}`, "destination.encoding should be JSON"},
		{rest + `"destination":{"protocol":"TCP"}}`, "destination.port is not provided"},
		{rest + `"destination":{"protocol":"TCP","port":65536}}`, "destination.port should be an integer between 1 and 65535"},
		{rest + `"destination":{"protocol":"TCP","port":9001}}`, "port 9001 is reserved"},
	} {
		_, err := Decode(Telemetry, []byte(c.body), 9001)
		var r *Refusal
		if !errors.As(err, &r) || r.Status != 400 || r.Type != "ValidationError" || !strings.HasPrefix(r.Message, c.want) || strings.HasSuffix(c.want, "y") && r.Message != c.want {
			t.Errorf("%s\n%v", c.body, err)
		}
	}
	_, err := Decode(Logs, []byte(`{"schemaVersion":"2022-07-01","destination":{"protocol":"HTTP","URI":"http://sandbox:1","method":"GET"}}`))
	var r *Refusal
	if !errors.As(err, &r) || r.Type != "Logs.ValidationError" ||
		r.Message != "schemaVersion should be one of [2020-08-15 2021-03-18]; destination.method should be POST or PUT; types should not be empty" {
		t.Error(err)
	}
	if got, want := string(r.body()), `{"errorMessage":"`+r.Message+`","errorType":"Logs.ValidationError"}`; got != want {
		t.Error(got)
	}
}

// FuzzDecode: what is taken is within the bounds, and its request is one request.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(good), false)
	f.Add([]byte(`{"types":["function"],"destination":{"protocol":"HTTP","URI":"http://sandbox:1/\u000d\u000a","method":"PUT"}}`), true)
	f.Add([]byte(`{"schemaVersion":"2022-07-01","types":["platform"],"destination":{"protocol":"TCP","port":8080.0}}`), false)
	f.Fuzz(func(t *testing.T, body []byte, logs bool) {
		api := Telemetry
		if logs {
			api = Logs
		}
		s, err := Decode(api, body, 9001)
		if err != nil {
			var r *Refusal
			if !errors.As(err, &r) || !json.Valid(r.body()) {
				t.Errorf("%v", err)
			}
			return
		}
		b, d := s.Buffering, s.Destination
		if d.Port < 1 || d.Port > 65535 || d.Port == 9001 || len(s.Types) == 0 || len(s.Types) > 3 || b.MaxBytes > maxBytesMax || b.MaxItems > maxItemsMax || b.Timeout > 30*time.Second {
			t.Errorf("%+v", s)
		}
		if head, _, _ := strings.Cut(string(d.request(nil)), "\r\n\r\n"); strings.Count(head, "\n") != 3 || strings.Count(head, "\r") != 3 {
			t.Errorf("%q", head)
		}
	})
}
