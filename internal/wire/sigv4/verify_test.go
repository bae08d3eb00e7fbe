package sigv4

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

func signedRequest(body string) *http.Request {
	r, _ := http.NewRequest("POST", "http://127.0.0.1:4566/2015-03-31/functions/hello/invocations", strings.NewReader(body))
	r.Header.Set("X-Amz-Invocation-Type", "RequestResponse")
	r.Header.Set("Content-Type", "application/json")
	Sign(r, testCred, SignOptions{Region: "us-east-1", Service: "lambda", Time: testTime, PayloadHash: HashPayload([]byte(body))})
	return r
}

func TestRefusals(t *testing.T) {
	replace := func(old, new string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
		}
	}
	query := func(q string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Del("Authorization"); r.URL.RawQuery = q }
	}
	const whole = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A/20261122/us-east-1/lambda/aws4_request&X-Amz-Date=20261122T123000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=" +
		"0000000000000000000000000000000000000000000000000000000000000000"
	tests := []struct {
		name   string
		change func(*http.Request)
		kind   error
		text   string
	}{
		{"none", func(r *http.Request) { r.Header.Del("Authorization") }, ErrMissing, "Missing Authentication Token"},
		{"basic", func(r *http.Request) { r.Header.Set("Authorization", "Basic abc") }, ErrIncomplete, "Unsupported AWS 'algorithm'"},
		{"sigv4a", replace(Algorithm, "AWS4-ECDSA-P256-SHA256"), ErrIncomplete, "AWS4-ECDSA-P256-SHA256"},
		{"glued", replace(Algorithm+" ", Algorithm+"X "), ErrIncomplete, "algorithm"},
		{"no credential", replace("Credential=", "Cred="), ErrIncomplete, "requires 'Credential' parameter"},
		{"no signature", replace("Signature=", "Sig="), ErrIncomplete, "requires 'Signature' parameter"},
		{"no signed headers", replace("SignedHeaders=", "Headers="), ErrIncomplete, "requires 'SignedHeaders' parameter"},
		{"no pair", replace("SignedHeaders=", "SignedHeaders"), ErrIncomplete, "missing equal-sign"},
		{"no date", func(r *http.Request) { r.Header.Del("X-Amz-Date") }, ErrIncomplete, "'X-Amz-Date' or a 'Date'"},
		{"bad date", func(r *http.Request) { r.Header.Set("X-Amz-Date", "yesterday") }, ErrIncomplete, "ISO-8601"},
		{"short credential", replace("/aws4_request", ""), ErrIncomplete, "exactly 5"},
		{"no slashes", replace("/20261122/us-east-1/lambda/aws4_request", ""), ErrIncomplete, "exactly 5"},
		{"terminator", replace("aws4_request", "aws5_request"), ErrScope, "terminator"},
		{"service", replace("/lambda/", "/sqs/"), ErrScope, "correct service: 'lambda'"},
		{"region", replace("us-east-1", "mars-1"), ErrScope, "valid region"},
		{"scope date", replace("/20261122/", "/20261121/"), ErrScope, "'20261121' != '20261122'"},
		{"early", func(r *http.Request) { r.Header.Set("X-Amz-Date", "20261122T124501Z") }, ErrSkewed, "still later"},
		{"late", func(r *http.Request) { r.Header.Set("X-Amz-Date", "20261122T121459Z") }, ErrSkewed, "now earlier"},
		{"host unsigned", replace("host;", ""), ErrUnsignedHeader, "'Host'"},
		{"invocation type unsigned", replace(";x-amz-invocation-type", ""), ErrUnsignedHeader, "x-amz-invocation-type"},
		{"empty name", replace("host;", ";host;"), ErrIncomplete, "empty header"},
		{"short signature", replace("Signature=", "Signature=0"), ErrMismatch, "does not match"},
		{"not hex", func(r *http.Request) {
			a := r.Header.Get("Authorization")
			r.Header.Set("Authorization", a[:len(a)-1]+"g")
		}, ErrMismatch, "does not match"},
		{"content hash", func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", HashPayload([]byte("z"))) }, ErrUnsignedHeader, "x-amz-content-sha256"},
		{"query without date", query(strings.Replace(whole, "X-Amz-Date", "Y", 1)), ErrIncomplete, "must include 'X-Amz-Date'"},
		{"query twice", query(whole + "&X-Amz-Date=20261122T123000Z"), ErrIncomplete, "once"},
		{"query algorithm", query(strings.Replace(whole, "SHA256&", "SHA1&", 1)), ErrIncomplete, "algorithm"},
		{"query escapes", query(whole + "&%zz"), ErrIncomplete, "parsed"},
		{"query too long a life", query(whole + "&X-Amz-Expires=604801"), ErrIncomplete, "less than a week"},
		{"query negative life", query(whole + "&X-Amz-Expires=-1"), ErrIncomplete, "non-negative"},
		{"query not a number", query(whole + "&X-Amz-Expires=x"), ErrIncomplete, "number"},
		{"query empty life", query(whole + "&X-Amz-Expires="), ErrIncomplete, "number"},
		{"query signed life", query(whole + "&X-Amz-Expires=%2B5"), ErrIncomplete, "number"},
		{"query two lives", query(whole + "&X-Amz-Expires=5&X-Amz-Expires=604800"), ErrIncomplete, "once"},
		{"query two tokens", query(whole + "&X-Amz-Security-Token=a&X-Amz-Security-Token=b"), ErrIncomplete, "once"},
		{"two signatures", func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, ErrIncomplete, "once"},
		{"upper case", func(r *http.Request) {
			head, signature, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			r.Header.Set("Authorization", head+"Signature="+strings.ToUpper(signature))
		}, ErrMismatch, "does not match"},
		{"query signature", query(whole), ErrUnsignedHeader, "must be"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := arrive(t, signedRequest("{}"))
			test.change(r)
			c, err := Parse(r)
			if err == nil {
				err = c.Check(Expected{Service: "lambda", Region: "us-east-1", Now: testTime})
			}
			if err == nil {
				err = c.Verify(r, DeriveKey(testCred.SecretAccessKey, c.Scope), Payload{Bytes: []byte("{}")})
			}
			if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %v, want %v with %q", err, test.kind, test.text)
			}
			if err != nil && strings.Contains(err.Error(), "Signature=0") {
				t.Error("a signature is in the message")
			}
		})
	}
}

func TestDateHeaderStandsIn(t *testing.T) {
	// A client that signs with Date and without X-Amz-Date.
	r, _ := http.NewRequest("GET", "http://h/", nil)
	r.Header.Set("Date", testTime.Format(http.TimeFormat))
	scope := Scope{"20261122", "us-east-1", "lambda"}
	sum, err := signRequest(r, testCred, signParts{scope: scope, stamp: "20261122T123000Z", signed: "date;host", payloadHash: HashPayload(nil)})
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", Algorithm+" Credential=AKIDEXAMPLE/"+scope.String()+",SignedHeaders=date;host,Signature="+hexOf(sum))
	if err := verify(arrive(t, r), nil); err != nil {
		t.Error(err)
	}
}

func TestUnsignedPayload(t *testing.T) {
	r, _ := http.NewRequest("PUT", "http://h/", nil)
	r.Header.Set("X-Amz-Content-Sha256", UnsignedPayload)
	Sign(r, testCred, SignOptions{Region: "us-east-1", Service: "lambda", Time: testTime, PayloadHash: UnsignedPayload})
	if err := verify(arrive(t, r), []byte("whatever")); err != nil {
		t.Error(err)
	}
}

// botocore and the JavaScript SDK normalise the path before they sign it.
func TestNormalisedPath(t *testing.T) {
	signedFor, _ := http.NewRequest("GET", "http://h/a/c/", nil)
	Sign(signedFor, testCred, SignOptions{Region: "us-east-1", Service: "lambda", Time: testTime})
	sent, _ := http.NewRequest("GET", "http://h//a/./b/../c/", nil)
	sent.Header = signedFor.Header
	if err := verify(arrive(t, sent), nil); err != nil {
		t.Error(err)
	}
}

func TestKeyCache(t *testing.T) {
	c := NewKeyCache()
	scope := Scope{"20261122", "us-east-1", "lambda"}
	k, cached := c.Get("s", scope)
	if cached || k != DeriveKey("s", scope) {
		t.Fatal("first Get")
	}
	c.Put("s", scope, k)
	if got, cached := c.Get("s", scope); !cached || got != k {
		t.Fatal("second Get")
	}
	for i := range 10 * keyCacheShards * keyCacheShardMax {
		s := Scope{Date: time.Unix(int64(i)*86400, 0).Format("20060102"), Region: "r", Service: string(rune(i))}
		c.Put("s", s, Key{})
	}
	if n := len(*c.shard("s").keys.Load()); n > keyCacheShardMax+1 {
		t.Errorf("%d keys in a shard", n)
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, n := range []int{0, 1 << 10, 64 << 10} {
		body := strings.Repeat("x", n)
		r := arrive(b, signedRequest(body))
		payload := Payload{Bytes: []byte(body)}
		keys := NewKeyCache()
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c, err := Parse(r)
				if err != nil {
					b.Fatal(err)
				}
				if err := c.Check(Expected{Service: "lambda", Now: testTime}); err != nil {
					b.Fatal(err)
				}
				key, cached := keys.Get(testCred.SecretAccessKey, c.Scope)
				if err := c.Verify(r, key, payload); err != nil {
					b.Fatal(err)
				}
				if !cached {
					keys.Put(testCred.SecretAccessKey, c.Scope, key)
				}
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	good := signedRequest("")
	f.Add(good.Header.Get("Authorization"), "a=b&c", "20261122T123000Z", "/x/../y")
	f.Add("AWS4-HMAC-SHA256 Credential=/////,SignedHeaders=;;;,Signature=", "X-Amz-Algorithm=%", "", "//")
	f.Add("", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a/1/2/3/aws4_request&X-Amz-Signature=x&X-Amz-SignedHeaders=&X-Amz-Date=20261122T123000Z", "Date", "/%")
	f.Fuzz(func(t *testing.T, auth, query, date, path string) {
		r, err := http.NewRequest("GET", "http://h/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Path, r.URL.RawQuery = path, query
		r.Header["Authorization"], r.Header["X-Amz-Date"] = []string{auth}, []string{date}
		c, err := Parse(r)
		if err != nil {
			return
		}
		_ = c.Check(Expected{Service: "lambda", Region: "r", Now: testTime})
		if c.Verify(r, Key{1}, Payload{}) == nil {
			t.Fatal("a key that nobody has verified a signature")
		}
	})
}
