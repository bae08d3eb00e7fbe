package sigv4

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Algorithm is the only signing algorithm verified here; SigV4A is refused.
const Algorithm = "AWS4-HMAC-SHA256"

// ScopeTerminator ends every credential scope.
const ScopeTerminator = "aws4_request"

// Bounds of what a request may claim.
const (
	authorizationBytesMax = 16 << 10 // longer: ErrIncomplete
	signedHeadersMax      = 256      // more: ErrIncomplete
)

// Values of x-amz-content-sha256 that are not a hash.
const (
	UnsignedPayload          = "UNSIGNED-PAYLOAD"
	StreamingPayload         = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	StreamingPayloadTrailer  = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	StreamingUnsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

const timeFormat = "20060102T150405Z"

// Form is where the signature was carried.
type Form uint8

const (
	// FormHeader is the Authorization header.
	FormHeader Form = iota
	// FormQuery is a presigned URL.
	FormQuery
)

// Scope is a credential scope: what a signing key is good for.
type Scope struct {
	Date    string // YYYYMMDD
	Region  string
	Service string
}

func (s Scope) String() string {
	return s.Date + "/" + s.Region + "/" + s.Service + "/" + ScopeTerminator
}

// Claim is what a request says of its own signature; nothing of it is proven
// before Verify returned nil.
type Claim struct {
	Form          Form
	AccessKeyID   string
	Scope         Scope
	SignedHeaders string // as sent: lower case, joined by ;
	Signature     [32]byte
	Timestamp     string // as sent, ISO 8601 basic
	Time          time.Time
	Expires       time.Duration // presigned only
	SecurityToken string
	ContentSHA256 string // x-amz-content-sha256 as sent, "" if absent
}

// Signed reports whether the request carries something that claims to be a
// signature, of whatever version.
func Signed(r *http.Request) bool {
	return r.Header.Get("Authorization") != "" || strings.Contains(r.URL.RawQuery, "X-Amz-Algorithm=") ||
		strings.Contains(r.URL.RawQuery, "X-Amz-Signature=")
}

// Parse reads the claim out of the Authorization header or the query.
func Parse(r *http.Request) (Claim, error) {
	if auth := r.Header["Authorization"]; len(auth) > 1 {
		return Claim{}, fail(ErrIncomplete, "The Authorization header must appear once.")
	} else if len(auth) > 0 && auth[0] != "" {
		return parseHeader(r, auth[0])
	}
	if Signed(r) {
		return parseQuery(r)
	}
	return Claim{}, fail(ErrMissing, "Missing Authentication Token")
}

func parseHeader(r *http.Request, auth string) (Claim, error) {
	c := Claim{Form: FormHeader}
	if len(auth) > authorizationBytesMax {
		return c, fail(ErrIncomplete, "Authorization header is too long.")
	}
	rest, ok := strings.CutPrefix(auth, Algorithm)
	if !ok || rest == "" || (rest[0] != ' ' && rest[0] != '\t') {
		return c, fail(ErrIncomplete, "Unsupported AWS 'algorithm': '"+firstWord(auth)+"'.")
	}
	var credential, signature string
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, ",")
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return c, fail(ErrIncomplete, "'"+strings.TrimSpace(part)+"' not a valid key=value pair (missing equal-sign) in Authorization header: '"+redact(auth)+"'.")
		}
		switch name {
		case "Credential":
			credential = value
		case "SignedHeaders":
			c.SignedHeaders = value
		case "Signature":
			signature = value
		}
	}
	stamp := r.Header.Get("X-Amz-Date")
	var missing strings.Builder
	for _, p := range [...]struct{ name, value string }{
		{"Credential", credential}, {"Signature", signature}, {"SignedHeaders", c.SignedHeaders},
	} {
		if p.value == "" {
			missing.WriteString("Authorization header requires '" + p.name + "' parameter. ")
		}
	}
	if stamp == "" && r.Header.Get("Date") == "" {
		missing.WriteString("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ")
	}
	if missing.Len() > 0 {
		return c, fail(ErrIncomplete, missing.String()+"Authorization="+redact(auth))
	}
	if err := c.setCredential(credential); err != nil {
		return c, err
	}
	if err := c.setSignature(signature); err != nil {
		return c, err
	}
	if err := c.setTime(stamp, r.Header.Get("Date")); err != nil {
		return c, err
	}
	c.SecurityToken = r.Header.Get("X-Amz-Security-Token")
	c.ContentSHA256 = r.Header.Get("X-Amz-Content-Sha256")
	return c, nil
}

// PresignedLifeMax is AWS's bound on X-Amz-Expires.
const PresignedLifeMax = 7 * 24 * time.Hour

func parseQuery(r *http.Request) (Claim, error) {
	c := Claim{Form: FormQuery}
	if len(r.URL.RawQuery) > authorizationBytesMax*4 {
		return c, fail(ErrIncomplete, "The query string is too long.")
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return c, fail(ErrIncomplete, "The query string could not be parsed.")
	}
	for _, name := range [...]string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"} {
		if q.Get(name) == "" {
			return c, fail(ErrIncomplete, "AWS query-string parameters must include '"+name+"'. Re-examine the query-string parameters.")
		}
	}
	for name, values := range q {
		if len(values) > 1 && strings.HasPrefix(name, "X-Amz-") {
			return c, fail(ErrIncomplete, "AWS query-string parameter '"+name+"' must appear once.")
		}
	}
	if a := q.Get("X-Amz-Algorithm"); a != Algorithm {
		return c, fail(ErrIncomplete, "Unsupported AWS 'algorithm': '"+a+"'.")
	}
	c.SignedHeaders = q.Get("X-Amz-SignedHeaders")
	if err := c.setCredential(q.Get("X-Amz-Credential")); err != nil {
		return c, err
	}
	if err := c.setSignature(q.Get("X-Amz-Signature")); err != nil {
		return c, err
	}
	if err := c.setTime(q.Get("X-Amz-Date"), ""); err != nil {
		return c, err
	}
	// The services other than S3 accept a presigned request without a life
	// and then treat it as a signed one: 15 minutes around its date.
	c.Expires = SkewMax
	if q.Has("X-Amz-Expires") {
		s := q.Get("X-Amz-Expires")
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || s[0] == '+' {
			return c, fail(ErrIncomplete, "X-Amz-Expires should be a number")
		}
		if n < 0 {
			return c, fail(ErrIncomplete, "X-Amz-Expires must be non-negative")
		}
		if n > int64(PresignedLifeMax/time.Second) {
			return c, fail(ErrIncomplete, "X-Amz-Expires must be less than a week (in seconds) that is 604800")
		}
		c.Expires = time.Duration(n) * time.Second
	}
	c.SecurityToken = q.Get("X-Amz-Security-Token")
	c.ContentSHA256 = q.Get("X-Amz-Content-Sha256")
	if c.ContentSHA256 == "" {
		c.ContentSHA256 = r.Header.Get("X-Amz-Content-Sha256")
	}
	return c, nil
}

// setCredential splits KEYID/DATE/REGION/SERVICE/aws4_request from its end.
func (c *Claim) setCredential(credential string) error {
	var parts [4]string // terminator, service, region, date
	rest := credential
	for i := range parts {
		cut := strings.LastIndexByte(rest, '/')
		if cut < 0 {
			return fail(ErrIncomplete, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '"+credential+"'")
		}
		parts[i], rest = rest[cut+1:], rest[:cut]
	}
	if parts[0] != ScopeTerminator {
		return fail(ErrScope, "Credential should be scoped with a valid terminator: 'aws4_request', not '"+parts[0]+"'.")
	}
	if rest == "" || parts[1] == "" || parts[2] == "" || len(parts[3]) != 8 {
		return fail(ErrIncomplete, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '"+credential+"'")
	}
	c.AccessKeyID = rest
	c.Scope = Scope{Date: parts[3], Region: parts[2], Service: parts[1]}
	return nil
}

func (c *Claim) setSignature(s string) error {
	if len(s) != hex.EncodedLen(len(c.Signature)) {
		return fail(ErrMismatch, mismatchText)
	}
	for i := range c.Signature {
		hi, ok1 := unhex(s[2*i])
		lo, ok2 := unhex(s[2*i+1])
		if !ok1 || !ok2 {
			return fail(ErrMismatch, mismatchText)
		}
		c.Signature[i] = hi<<4 | lo
	}
	return nil
}

func (c *Claim) setTime(stamp, date string) error {
	if stamp != "" {
		t, ok := parseStamp(stamp)
		if !ok {
			return fail(ErrIncomplete, "Date must be in ISO-8601 'basic format'. Got '"+stamp+"'. See http://en.wikipedia.org/wiki/ISO_8601")
		}
		c.Timestamp, c.Time = stamp, t
		return nil
	}
	if t, ok := parseStamp(date); ok {
		c.Timestamp, c.Time = date, t
		return nil
	}
	t, err := http.ParseTime(date)
	if err != nil {
		return fail(ErrIncomplete, "Date must be in ISO-8601 'basic format'. Got '"+date+"'. See http://en.wikipedia.org/wiki/ISO_8601")
	}
	c.Time, c.Timestamp = t.UTC(), t.UTC().Format(timeFormat)
	return nil
}

// parseStamp reads 20060102T150405Z without allocating.
func parseStamp(s string) (time.Time, bool) {
	if len(s) != len(timeFormat) || s[8] != 'T' || s[15] != 'Z' {
		return time.Time{}, false
	}
	num := func(i, n int) int {
		v := 0
		for ; n > 0; i, n = i+1, n-1 {
			if s[i] < '0' || s[i] > '9' {
				return -1
			}
			v = v*10 + int(s[i]-'0')
		}
		return v
	}
	y, mo, d, h, mi, se := num(0, 4), num(4, 2), num(6, 2), num(9, 2), num(11, 2), num(13, 2)
	if y < 0 || mo < 1 || mo > 12 || d < 1 || d > 31 || h < 0 || h > 23 || mi < 0 || mi > 59 || se < 0 || se > 60 {
		return time.Time{}, false
	}
	return time.Date(y, time.Month(mo), d, h, mi, se, 0, time.UTC), true
}

func firstWord(s string) string {
	w, _, _ := strings.Cut(s, " ")
	if len(w) > 64 {
		w = w[:64]
	}
	return w
}

// redact keeps a signature out of answers and logs.
func redact(auth string) string {
	if i := strings.Index(auth, "Signature="); i >= 0 {
		j := strings.IndexByte(auth[i:], ',')
		if j < 0 {
			return auth[:i] + "Signature=..."
		}
		return auth[:i] + "Signature=..." + auth[i+j:]
	}
	return auth
}

func unhex(b byte) (byte, bool) {
	switch {
	case '0' <= b && b <= '9':
		return b - '0', true
	case 'a' <= b && b <= 'f':
		return b - 'a' + 10, true
	}
	return 0, false // upper case, too: a signature is lower-case hexadecimal
}
