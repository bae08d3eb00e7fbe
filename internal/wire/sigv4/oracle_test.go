package sigv4

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

var (
	testCred = Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
	testTime = time.Date(2026, 11, 22, 12, 30, 0, 0, time.UTC)
)

// arrive sends r through its wire form, as a server reads it.
func arrive(t testing.TB, r *http.Request) *http.Request {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&b))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func verify(r *http.Request, body []byte) error {
	c, err := Parse(r)
	if err != nil {
		return err
	}
	if err := c.Check(Expected{Service: c.Scope.Service, Now: testTime}); err != nil {
		return err
	}
	return c.Verify(r, DeriveKey(testCred.SecretAccessKey, c.Scope), Payload{Bytes: body})
}

// The SDK's own signer is the oracle: whatever it signs must verify, and any
// change of what it signed must not.
func TestVerifiesWhatTheSDKSigns(t *testing.T) {
	urls := []string{
		"http://127.0.0.1:4566/",
		"http://127.0.0.1:4566",
		"http://lambda.us-east-1.amazonaws.com/2015-03-31/functions/f/invocations?Qualifier=1",
		"http://h/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af/invocations",
		"http://h/a%20b/c+d/e%2Bf",
		"http://h/%E2%82%AC/%F0%9F%98%80/",
		"http://h/a//b/./c/../d//",
		"http://h/~user/-._/!$'()*,;:@&=",
		"http://h/%25/%2525",
		"http://h/?a=1&b=2&a=0&a=%20&B=3",
		"http://h/?empty&also=&x=%2F%2f~",
		"http://h/?k=a+b&k=a%20b&k=a%2Bb",
		"http://h/?z=1&%7B=2&-=3&%C3%BC=4&Z=5&_=6",
		"http://h/x?list-type=2&prefix=some%2Fthing&delimiter=/",
		"http://h/?Action=X&Action=Y&Version=2010-05-08",
	}
	headers := []http.Header{
		{},
		{"X-Amz-Target": {"Logs_20140328.PutLogEvents"}, "Content-Type": {"application/x-amz-json-1.1"}},
		{"X-Amz-Meta-Multi": {"b", "a", "b  c   d"}, "X-Amz-Meta-Space": {"  a   b  "}, "X-Other": {"1"}},
		{"X-Amzn-Trace-Id": {"Root=1"}, "User-Agent": {"x/1"}, "Accept-Encoding": {"gzip"}},
		{"X-Amz-Meta-Empty": {""}, "Amz-Sdk-Request": {"attempt=1; max=3"}},
	}
	signer := v4.NewSigner()
	for _, service := range []string{"lambda", "s3", "execute-api"} {
		for _, u := range urls {
			for i, h := range headers {
				for _, body := range []string{"", `{"a":1}`} {
					for _, token := range []string{"", "session/token+=="} {
						name := service + " " + u + " " + string(rune('0'+i)) + " " + body
						r, err := http.NewRequest("POST", u, strings.NewReader(body))
						if err != nil {
							t.Fatal(err)
						}
						r.Header = h.Clone()
						hash := HashPayload([]byte(body))
						cred := awssdk.Credentials{AccessKeyID: testCred.AccessKeyID, SecretAccessKey: testCred.SecretAccessKey, SessionToken: token}
						if service == "s3" {
							r.Header.Set("X-Amz-Content-Sha256", hash)
						}
						opt := func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" }
						if err := signer.SignHTTP(context.Background(), cred, r, hash, service, "us-east-1", testTime, opt); err != nil {
							t.Fatal(err)
						}
						got := arrive(t, r)
						if err := verify(got, []byte(body)); err != nil {
							t.Errorf("%s: %v", name, err)
							continue
						}
						mustFail(t, name, got, body)
						presignedToo(t, signer, cred, service, u, body)
					}
				}
			}
		}
	}
}

func mustFail(t *testing.T, name string, r *http.Request, body string) {
	t.Helper()
	changes := map[string]func(*http.Request){
		"method": func(r *http.Request) { r.Method = "PUT" },
		"path":   func(r *http.Request) { r.URL.Path += "x"; r.URL.RawPath = "" },
		"query":  func(r *http.Request) { r.URL.RawQuery += "&zz=1" },
		"host":   func(r *http.Request) { r.Host = "evil" },
		"token":  func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "other") },
		"date":   func(r *http.Request) { r.Header.Set("X-Amz-Date", "20261122T123100Z") },
		"extra":  func(r *http.Request) { r.Header.Set("X-Amz-Extra", "1") },
	}
	for what, change := range changes {
		c := r.Clone(context.Background())
		change(c)
		if err := verify(c, []byte(body)); err == nil {
			t.Errorf("%s: a changed %s verifies", name, what)
		}
	}
	if err := verify(r, []byte(body+"x")); err == nil {
		t.Errorf("%s: a changed body verifies", name)
	}
}

func presignedToo(t *testing.T, signer *v4.Signer, cred awssdk.Credentials, service, u, body string) {
	t.Helper()
	r, _ := http.NewRequest("GET", u, nil)
	q := r.URL.Query()
	q.Set("X-Amz-Expires", "300")
	r.URL.RawQuery = q.Encode()
	hash := HashPayload(nil)
	if service == "s3" {
		hash = UnsignedPayload
	}
	signed, _, err := signer.PresignHTTP(context.Background(), cred, r, hash, service, "us-east-1", testTime,
		func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
	if err != nil {
		t.Fatal(err)
	}
	p, err := http.NewRequest("GET", signed, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := arrive(t, p)
	if err := verify(got, nil); err != nil {
		t.Errorf("presigned %s: %v", signed, err)
	}
	c, err := Parse(got)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(Expected{Now: testTime.Add(299 * time.Second)}); err != nil {
		t.Errorf("in time: %v", err)
	}
	if err := c.Check(Expected{Now: testTime.Add(301 * time.Second)}); !errors.Is(err, ErrExpired) {
		t.Errorf("late: %v, want ErrExpired", err)
	}
}

// Our own signer and verifier agree, and the SDK's signer gives the same
// header for what it signs the same way.
func TestSignAgrees(t *testing.T) {
	for _, service := range []string{"lambda", "s3"} {
		for _, cred := range []Credentials{testCred, {AccessKeyID: "ASIA1", SecretAccessKey: testCred.SecretAccessKey, SessionToken: "t"}} {
			r, _ := http.NewRequest("POST", "http://h:1/a%2Fb/c?x=1&y=%20", strings.NewReader("body"))
			r.Header.Set("X-Amz-Target", "T")
			Sign(r, cred, SignOptions{Region: "eu-west-1", Service: service, Time: testTime, PayloadHash: HashPayload([]byte("body"))})
			if err := verify(arrive(t, r), []byte("body")); err != nil {
				t.Errorf("%s: %v", service, err)
			}
			for _, u := range []string{"http://h:1/snapshots/a%20b?versionId=1", "http://h:1/x"} {
				signed, err := Presign("GET", u, cred, SignOptions{Region: "eu-west-1", Service: service, Time: testTime}, 10*time.Minute)
				if err != nil {
					t.Fatal(err)
				}
				p, _ := http.NewRequest("GET", signed, nil)
				if err := verify(arrive(t, p), nil); err != nil {
					t.Errorf("%s presigned: %v", service, err)
				}
			}
		}
	}
	if _, err := Presign("GET", "http://h/", testCred, SignOptions{Time: testTime}, 8*24*time.Hour); !errors.Is(err, ErrIncomplete) {
		t.Errorf("eight days: %v", err)
	}
}
