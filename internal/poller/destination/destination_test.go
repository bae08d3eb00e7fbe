package destination

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

var credentials = sigv4.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}

// asked is what one Send asked of a service.
type asked struct {
	*http.Request
	body string
}

func send(t *testing.T, service, answer string, status int, m *Message) (asked, error) {
	t.Helper()
	var got asked
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = asked{r, string(b)}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	defer s.Close()
	e, err := ParseEndpoints([]string{service + "=" + s.URL})
	if err != nil {
		t.Fatal(err)
	}
	err = e.Send(t.Context(), m, credentials)
	if got.Request == nil {
		t.Fatalf("nothing came: %v", err)
	}
	claim, parseErr := sigv4.Parse(got.Request)
	if parseErr != nil {
		t.Fatal(parseErr)
	}
	key := sigv4.DeriveKey(credentials.SecretAccessKey, claim.Scope)
	if verifyErr := claim.Verify(got.Request, key, sigv4.Payload{Bytes: []byte(got.body)}); verifyErr != nil || claim.Scope.Service != service || claim.Scope.Region != "eu-west-1" {
		t.Errorf("signature: %v, %+v", verifyErr, claim.Scope)
	}
	return got, err
}

func message(arn string) *Message {
	return &Message{
		Destination: arn, Region: "eu-west-1", Function: "f", FunctionARN: "arn:aws:lambda:eu-west-1:000000000000:function:f:$LATEST",
		Success: true, Body: []byte(`{"a":"ä&b"}`), Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

func TestTopic(t *testing.T) {
	m := message("arn:aws:sns:eu-west-1:000000000000:topic")
	m.Attributes = []Attribute{{"RequestID", "String", "id"}, {"ErrorCode", "Number", "200"}}
	got, err := send(t, "sns", "<ok/>", 200, m)
	if err != nil {
		t.Fatal(err)
	}
	form, _ := url.ParseQuery(got.body)
	for name, want := range map[string]string{
		"Action": "Publish", "TopicArn": m.Destination, "Message": string(m.Body), "MessageAttributes.entry.1.Name": "RequestID",
		"MessageAttributes.entry.2.Value.DataType": "Number", "MessageAttributes.entry.2.Value.StringValue": "200",
	} {
		if form.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, form.Get(name), want)
		}
	}
}

func TestBus(t *testing.T) {
	m := message("arn:aws:events:eu-west-1:000000000000:event-bus/default")
	got, err := send(t, "events", `{"FailedEntryCount":0,"Entries":[{"EventId":"e"}]}`, 200, m)
	if err != nil {
		t.Fatal(err)
	}
	var said struct{ Entries []entry }
	if err := json.Unmarshal([]byte(got.body), &said); err != nil {
		t.Fatal(err)
	}
	e := said.Entries[0]
	if e.Source != "lambda" || e.DetailType != "Lambda Function Invocation Result - Success" || e.Detail != string(m.Body) ||
		strings.Join(e.Resources, " ") != m.Destination+" "+m.FunctionARN || e.EventBusName != m.Destination {
		t.Errorf("%+v", e)
	}
	m.Success = false
	got, err = send(t, "events", `{"FailedEntryCount":1,"Entries":[{"ErrorCode":"InternalFailure"}]}`, 200, m)
	if err == nil || !strings.Contains(got.body, "Result - Failure") {
		t.Errorf("%v, %s", err, got.body)
	}
}

func TestBucket(t *testing.T) {
	got, err := send(t, "s3", "", 200, message("arn:aws:s3:::bucket"))
	if err != nil {
		t.Fatal(err)
	}
	form := regexp.MustCompile(`^/bucket/aws/lambda/async/f/2026/01/02/2026-01-02T03\.04\.05-[0-9a-f-]{36}$`)
	if got.Method != http.MethodPut || !form.MatchString(got.URL.Path) || got.body != `{"a":"ä&b"}` {
		t.Errorf("%s %s %s", got.Method, got.URL, got.body)
	}
}

func TestRefusals(t *testing.T) {
	for _, status := range []int{301, 403, 500} {
		if _, err := send(t, "s3", "no", status, message("arn:aws:s3:::bucket")); err == nil {
			t.Errorf("%d was taken for a success", status)
		}
	}
	for _, arn := range []string{"arn:aws:s3:::bucket", "arn:aws:kinesis:eu-west-1:000000000000:stream/s", "nonsense"} {
		if err := (Endpoints{}).Send(t.Context(), message(arn), credentials); err == nil {
			t.Errorf("%s was sent to without an endpoint", arn)
		}
	}
	for _, bad := range []string{"lambda=http://x", "sns", "sns=ftp://x", "sns=http://", "sns=http://u:p@x", "s3=http://x?y=z"} {
		if _, err := ParseEndpoints([]string{bad}); err == nil {
			t.Errorf("%s is an endpoint", bad)
		}
	}
	if _, err := ParseEndpoints([]string{"s3=http://a", "s3=http://b"}); err == nil {
		t.Error("two endpoints of one service")
	}
}
