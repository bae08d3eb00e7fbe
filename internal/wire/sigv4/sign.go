package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Credentials are what a client signs with.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string // "" for long-term keys
}

// String keeps the secret out of every log.
func (c Credentials) String() string { return "credentials " + c.AccessKeyID }

// GoString keeps the secret out of %#v.
func (c Credentials) GoString() string { return c.String() }

// SignOptions say what a signature is for.
type SignOptions struct {
	Region  string
	Service string
	Time    time.Time
	// PayloadHash is the hex SHA-256 of the body or one of the constants
	// beside UnsignedPayload; "" is the hash of an empty body.
	PayloadHash string
}

// HashPayload returns the hex SHA-256 of a body.
func HashPayload(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// Headers that travel with a request but are not part of it.
var neverSigned = []string{"Authorization", "User-Agent", "X-Amzn-Trace-Id", "Expect", "Transfer-Encoding", "Connection"}

// Sign puts X-Amz-Date, X-Amz-Security-Token and Authorization on r.
func Sign(r *http.Request, cred Credentials, opt SignOptions) {
	if opt.PayloadHash == "" {
		opt.PayloadHash = HashPayload(nil)
	}
	stamp := opt.Time.UTC().Format(timeFormat)
	scope := Scope{Date: stamp[:8], Region: opt.Region, Service: opt.Service}
	r.Header.Set("X-Amz-Date", stamp)
	if cred.SessionToken != "" {
		r.Header.Set("X-Amz-Security-Token", cred.SessionToken)
	}
	if SinglePathEncoding(opt.Service) {
		r.Header.Set("X-Amz-Content-Sha256", opt.PayloadHash)
	}
	names := []string{"host"}
	for name := range r.Header {
		if !slices.Contains(neverSigned, name) {
			names = append(names, strings.ToLower(name))
		}
	}
	slices.Sort(names)
	signed := strings.Join(names, ";")
	sum, err := signRequest(r, cred, signParts{scope: scope, stamp: stamp, signed: signed, payloadHash: opt.PayloadHash})
	if err != nil {
		// Only a query that the caller built wrongly gets here; such a
		// request must not look signed.
		r.Header.Del("Authorization")
		return
	}
	r.Header.Set("Authorization", Algorithm+" Credential="+cred.AccessKeyID+"/"+scope.String()+
		", SignedHeaders="+signed+", Signature="+hex.EncodeToString(sum[:]))
}

// Presign returns rawURL with a signature in its query, good for life from
// opt.Time on. Only the host is signed beside path and query.
func Presign(method, rawURL string, cred Credentials, opt SignOptions, life time.Duration) (string, error) {
	if life <= 0 || life > PresignedLifeMax {
		return "", fmt.Errorf("presign: life %s is not within a week: %w", life, ErrIncomplete)
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return "", fmt.Errorf("presign: %w", err)
	}
	stamp := opt.Time.UTC().Format(timeFormat)
	scope := Scope{Date: stamp[:8], Region: opt.Region, Service: opt.Service}
	q := u.Query()
	q.Set("X-Amz-Algorithm", Algorithm)
	q.Set("X-Amz-Credential", cred.AccessKeyID+"/"+scope.String())
	q.Set("X-Amz-Date", stamp)
	q.Set("X-Amz-Expires", strconv.FormatInt(int64(life/time.Second), 10))
	q.Set("X-Amz-SignedHeaders", "host")
	if cred.SessionToken != "" {
		q.Set("X-Amz-Security-Token", cred.SessionToken)
	}
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
	hash := opt.PayloadHash
	if hash == "" {
		hash = HashPayload(nil)
		if SinglePathEncoding(opt.Service) {
			hash = UnsignedPayload
		}
	}
	r := &http.Request{Method: method, URL: u, Host: u.Host, Header: http.Header{}}
	sum, err := signRequest(r, cred, signParts{scope: scope, stamp: stamp, signed: "host", payloadHash: hash})
	if err != nil {
		return "", err
	}
	u.RawQuery += "&X-Amz-Signature=" + hex.EncodeToString(sum[:])
	return u.String(), nil
}

type signParts struct {
	scope               Scope
	stamp               string
	signed, payloadHash string
}

func signRequest(r *http.Request, cred Credentials, p signParts) (Key, error) {
	q := requestOf(r, p.scope.Service)
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	text, err := s.canonical(&q, variant{}, p.signed, "", p.payloadHash)
	if err != nil {
		return Key{}, err
	}
	return signCanonical(s, DeriveKey(cred.SecretAccessKey, p.scope), p.stamp, p.scope, text), nil
}
