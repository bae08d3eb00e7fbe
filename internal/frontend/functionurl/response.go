package functionurl

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// forbiddenText is what AWS says to whoever may not (recorded: test_lambda_permission_url_invocation).
const forbiddenText = "Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"

func refuse(w http.ResponseWriter, status int) {
	refuseWith(w, status, "AccessDeniedException", forbiddenText)
}

func refuseWith(w http.ResponseWriter, status int, code, text string) {
	b, err := json.Marshal(struct{ Message string }{text})
	if err != nil {
		panic("functionurl: a text that cannot be JSON: " + err.Error())
	}
	w.Header()["x-amzn-ErrorType"] = []string{code}
	write(w, status, "application/json", b)
}

// badGateway answers for a function that failed, or whose answer is no response.
func badGateway(w http.ResponseWriter) {
	write(w, http.StatusBadGateway, "application/json", []byte("Internal Server Error"))
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", contentType)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	// An error here is the client's: nobody is left to tell.
	_, _ = w.Write(body)
}

// envelope is a function's answer that says what to respond. Source: Lambda developer guide,
// "Response payload format".
type envelope struct {
	status          int // 0: it names none
	Headers         map[string]json.RawMessage
	Cookies         []string
	Body            json.RawMessage
	IsBase64Encoded bool
}

var errStatus = errors.New("functionurl: not the number of a final status")

// envelopeOf reads the members of an object by their exact names: encoding/json would take statuscode, too.
func envelopeOf(members map[string]json.RawMessage) (*envelope, error) {
	e := &envelope{Body: members["body"]}
	for name, to := range map[string]any{"headers": &e.Headers, "cookies": &e.Cookies, "isBase64Encoded": &e.IsBase64Encoded} {
		if raw, ok := members[name]; ok {
			if err := json.Unmarshal(raw, to); err != nil {
				return nil, fmt.Errorf("functionurl: %s: %w", name, err)
			}
		}
	}
	raw := members["statusCode"]
	if absent(raw) {
		return e, nil
	}
	var number json.Number // a string of a number, too
	if err := json.Unmarshal(raw, &number); err != nil {
		return nil, fmt.Errorf("functionurl: statusCode: %w", err)
	}
	// Languages with one kind of number write 200 as 200.0.
	status, err := number.Float64()
	if err != nil || status != math.Trunc(status) || status < 200 || status > 599 {
		return nil, errStatus
	}
	e.status = int(status)
	return e, nil
}

func absent(raw json.RawMessage) bool {
	return len(raw) == 0 || bytes.Equal(raw, []byte("null"))
}

// respond makes a function's answer into a response: what is no envelope is the body itself. So is
// what a function streams to a URL that buffers, prelude and all: it is not JSON, and BUFFERED knows
// no preludes (source: Lambda developer guide, "Invoking a response streaming enabled function using
// Lambda function URLs": such a URL calls Invoke; middy's "Streamify Response" sees 200 there,
// whatever the prelude says).
func respond(w http.ResponseWriter, payload []byte, cors http.Header) {
	var members map[string]json.RawMessage
	if json.Unmarshal(payload, &members) != nil || absent(members["statusCode"]) {
		write(w, http.StatusOK, "application/json", inferred(payload))
		return
	}
	e, err := envelopeOf(members)
	if err != nil {
		badGateway(w)
		return
	}
	body, ok := e.body()
	if !ok {
		badGateway(w)
		return
	}
	e.setHeaders(w.Header(), cors)
	if e.status == http.StatusNoContent || e.status == http.StatusNotModified {
		w.WriteHeader(e.status)
		return
	}
	write(w, e.status, "application/json", body)
}

// setHeaders sets what the function says, but for what is the server's own.
func (e *envelope) setHeaders(h, cors http.Header) {
	for name, raw := range e.Headers {
		v, ok := headerValue(raw)
		if !ok || !validHeader(name, v) || serversOwn[http.CanonicalHeaderKey(name)] {
			continue
		}
		switch _, ours := cors[http.CanonicalHeaderKey(name)]; {
		case !ours:
			h.Set(name, v)
		case strings.EqualFold(name, "Vary"): // what else the answer depends on
			h.Add(name, v)
		} // the URL's own CORS headers win
	}
	for _, c := range e.Cookies {
		if validHeader("Set-Cookie", c) {
			h.Add("Set-Cookie", c)
		}
	}
}

// inferred is the body of an answer that is no envelope: a string as it is, all else as JSON.
func inferred(payload []byte) []byte {
	var s string
	if json.Unmarshal(payload, &s) == nil && !bytes.Equal(bytes.TrimSpace(payload), []byte("null")) {
		return []byte(s)
	}
	return payload
}

func (e *envelope) body() ([]byte, bool) {
	if absent(e.Body) {
		return nil, true
	}
	body := inferred(e.Body)
	if !e.IsBase64Encoded {
		return body, true
	}
	b, err := base64.StdEncoding.DecodeString(string(body))
	return b, err == nil
}

// headerValue takes strings, numbers and truth values.
func headerValue(raw json.RawMessage) (string, bool) {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return "", false
	}
	switch v := v.(type) {
	case string:
		return v, true
	case bool, float64:
		return strings.TrimSpace(string(raw)), true
	}
	return "", false
}

func validHeader(name, v string) bool {
	if name == "" {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?={}`, c) >= 0 {
			return false
		}
	}
	return !strings.ContainsAny(v, "\r\n\x00")
}

// serversOwn are headers that no function sets: those of the connection, and those by which the
// server tells its own story. A second request id would leave the client to guess.
var serversOwn = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "Content-Length": true, "Date": true,
	"X-Amzn-Requestid": true, "X-Amzn-Trace-Id": true, "X-Amzn-Errortype": true,
}
