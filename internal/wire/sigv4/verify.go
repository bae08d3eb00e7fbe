package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

// SkewMax is how far a signing time may be from now.
const SkewMax = 15 * time.Minute

// Expected is what the request must have been scoped to.
type Expected struct {
	// Service is the signing name; "" accepts any.
	Service string
	// Region is the only region accepted; "" accepts any.
	Region string
	Now    time.Time
}

// Payload is the body as it is to be compared with what was signed.
type Payload struct {
	// Bytes is the whole body, when it was read already.
	Bytes []byte
	// Unread says that the body has not been read: its declared hash is
	// taken into the signature, and the caller checks the body against
	// Claim.ContentSHA256 or reads it through NewChunkReader.
	Unread bool
}

// Check tests the claim's scope and time, before any key is needed.
func (c *Claim) Check(want Expected) error {
	if want.Service != "" && c.Scope.Service != want.Service {
		return fail(ErrScope, "Credential should be scoped to correct service: '"+want.Service+"'. ")
	}
	if want.Region != "" && c.Scope.Region != want.Region {
		return fail(ErrScope, "Credential should be scoped to a valid region, not '"+c.Scope.Region+"'. ")
	}
	if c.Timestamp[:8] != c.Scope.Date {
		return fail(ErrScope, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '"+
			c.Scope.Date+"' != '"+c.Timestamp[:8]+"', from '"+c.Timestamp+"'.")
	}
	now := want.Now.UTC()
	if c.Time.After(now.Add(SkewMax)) {
		return fail(ErrSkewed, "Signature not yet current: "+c.Timestamp+" is still later than "+
			now.Add(SkewMax).Format(timeFormat)+" ("+now.Format(timeFormat)+" + 15 min.)")
	}
	if c.Form == FormQuery {
		if end := c.Time.Add(c.Expires); now.After(end) {
			return fail(ErrExpired, "Signature expired: "+end.Format(timeFormat)+" is now earlier than "+now.Format(timeFormat))
		}
		return nil
	}
	if c.Time.Before(now.Add(-SkewMax)) {
		return fail(ErrSkewed, "Signature expired: "+c.Timestamp+" is now earlier than "+
			now.Add(-SkewMax).Format(timeFormat)+" ("+now.Format(timeFormat)+" - 15 min.)")
	}
	return nil
}

// Verify compares the claim with what the key gives for this request. It
// compares in constant time and says nothing about where they differ.
func (c *Claim) Verify(r *http.Request, key Key, payload Payload) error {
	if err := c.requireSigned(r.Header); err != nil {
		return err
	}
	hash, err := c.payloadHash(payload)
	if err != nil {
		return err
	}
	q := requestOf(r, c.Scope.Service)
	skip := ""
	if c.Form == FormQuery {
		skip = "X-Amz-Signature"
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	var room [6]variant
	for _, v := range q.variants(room[:0]) {
		text, err := s.canonical(&q, v, c.SignedHeaders, skip, hash)
		if err != nil {
			return err
		}
		sum := signCanonical(s, key, c.Timestamp, c.Scope, text)
		if subtle.ConstantTimeCompare(sum[:], c.Signature[:]) == 1 {
			return nil
		}
	}
	return fail(ErrMismatch, mismatchText)
}

// Streaming reports whether the body is aws-chunked.
func (c *Claim) Streaming() bool { return Streaming(c.ContentSHA256) }

// payloadHash is the last line of the canonical request.
func (c *Claim) payloadHash(p Payload) (string, error) {
	declared := c.ContentSHA256
	s3 := SinglePathEncoding(c.Scope.Service)
	switch {
	case declared == UnsignedPayload, c.Streaming():
		return declared, nil
	case declared == "" && c.Form == FormQuery && s3:
		return UnsignedPayload, nil
	case p.Unread && declared != "":
		return declared, nil
	case p.Unread:
		return "", fail(ErrPayload, "Missing required header for this request: x-amz-content-sha256")
	}
	sum := sha256.Sum256(p.Bytes)
	var text [64]byte
	hex.Encode(text[:], sum[:])
	if declared != "" && subtle.ConstantTimeCompare([]byte(declared), text[:]) != 1 {
		return "", fail(ErrPayload, "The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	return string(text[:]), nil
}

// requireSigned refuses a request whose meaning could be changed without
// breaking its signature: host and every x-amz-* header must be signed.
func (c *Claim) requireSigned(h http.Header) error {
	if !listed(c.SignedHeaders, "host") && !listed(c.SignedHeaders, ":authority") {
		return fail(ErrUnsignedHeader, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for name := range h {
		if len(name) < 6 || !strings.EqualFold(name[:6], "X-Amz-") || listed(c.SignedHeaders, name) {
			continue
		}
		return fail(ErrUnsignedHeader, "'"+strings.ToLower(name)+"' must be a 'SignedHeader' in the AWS Authorization.")
	}
	return nil
}

// listed reports whether name is in a list joined by semicolons.
func listed(list, name string) bool {
	for item := range strings.SplitSeq(list, ";") {
		if strings.EqualFold(item, name) {
			return true
		}
	}
	return false
}

// signCanonical makes the string to sign in the scratch buffer, behind the
// canonical request, and signs it.
func signCanonical(s *scratch, key Key, stamp string, scope Scope, canonical []byte) Key {
	hash := sha256.Sum256(canonical)
	dst := append(s.buf[:0], Algorithm+"\n"...)
	dst = append(dst, stamp...)
	dst = append(dst, '\n')
	dst = append(dst, scope.Date...)
	dst = append(dst, '/')
	dst = append(dst, scope.Region...)
	dst = append(dst, '/')
	dst = append(dst, scope.Service...)
	dst = append(dst, "/"+ScopeTerminator+"\n"...)
	dst = hex.AppendEncode(dst, hash[:])
	s.buf = dst
	return mac(key[:], dst)
}
