package sigv4

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Clients differ in the last details of the canonical form: the Go SDK sorts
// the query by decoded names and leaves "//" and "/./" in a path, botocore and
// the JavaScript SDK sort by encoded names and normalise the path. A variant
// is one combination; all are functions of the same request, so trying a
// second one after the first failed weakens nothing.
type variant struct {
	path      pathForm
	encodedOf bool // sort the query by its encoded names
}

type pathForm uint8

const (
	pathAsSent pathForm = iota
	pathNormalised
	pathReencoded // S3: decoded and strictly encoded again
)

// request is the part of an HTTP request that is signed.
type request struct {
	method        string
	escapedPath   string
	path          string
	rawQuery      string
	host          string
	header        http.Header
	contentLength int64
	transfer      []string
	singleEncode  bool // S3
}

func requestOf(r *http.Request, service string) request {
	host := r.Host
	if host == "" && r.URL != nil {
		host = r.URL.Host
	}
	q := request{
		method: r.Method, escapedPath: r.URL.EscapedPath(), path: r.URL.Path, rawQuery: r.URL.RawQuery, host: host, header: r.Header,
		contentLength: r.ContentLength, transfer: r.TransferEncoding, singleEncode: SinglePathEncoding(service),
	}
	if q.method == "" {
		q.method = http.MethodGet
	}
	if q.escapedPath == "" {
		q.escapedPath, q.path = "/", "/"
	}
	return q
}

// SinglePathEncoding reports whether a service signs the path as it is on the
// wire. All others encode it once more and normalise it.
func SinglePathEncoding(service string) bool {
	switch service {
	case "s3", "s3-object-lambda", "s3-outposts", "s3express":
		return true
	}
	return false
}

// variants lists the canonical forms worth trying, most likely first.
func (q *request) variants(dst []variant) []variant {
	dst = append(dst, variant{})
	if q.singleEncode {
		if string(appendEncoded(nil, q.path, true)) != q.escapedPath {
			dst = append(dst, variant{path: pathReencoded})
		}
	} else if strings.Contains(q.escapedPath, "//") || strings.Contains(q.escapedPath, "/.") {
		dst = append(dst, variant{path: pathNormalised})
	}
	if strings.IndexByte(q.rawQuery, '&') >= 0 && strings.IndexByte(q.rawQuery, '%') >= 0 {
		for _, v := range dst {
			v.encodedOf = true
			dst = append(dst, v)
		}
	}
	return dst
}

// scratch is the reusable memory of one verification.
type scratch struct {
	buf   []byte
	pairs []pair
}

// pair is one query parameter, decoded as a form would and encoded again.
type pair struct{ name, value, encName, encValue string }

var scratches = sync.Pool{New: func() any { return &scratch{buf: make([]byte, 0, 2048)} }}

// canonical appends the canonical request to dst.
func (s *scratch) canonical(q *request, v variant, signedHeaders, skipParam, payloadHash string) ([]byte, error) {
	dst := append(s.buf[:0], q.method...)
	dst = append(dst, '\n')
	dst = q.appendPath(dst, v.path)
	dst = append(dst, '\n')
	dst, err := s.appendQuery(dst, q.rawQuery, v.encodedOf, skipParam)
	if err != nil {
		return nil, err
	}
	dst = append(dst, '\n')
	dst, err = q.appendHeaders(dst, signedHeaders)
	if err != nil {
		return nil, err
	}
	dst = append(dst, '\n')
	dst = append(dst, signedHeaders...)
	dst = append(dst, '\n')
	dst = append(dst, payloadHash...)
	s.buf = dst
	return dst, nil
}

func (q *request) appendPath(dst []byte, form pathForm) []byte {
	switch {
	case form == pathReencoded:
		return appendEncoded(dst, q.path, true)
	case q.singleEncode:
		return append(dst, q.escapedPath...)
	case form == pathNormalised:
		return appendEncoded(dst, normalise(q.escapedPath), true)
	default:
		return appendEncoded(dst, q.escapedPath, true)
	}
}

// normalise drops empty and dot segments as RFC 3986 section 5.2.4 does, and
// keeps a trailing slash.
func normalise(path string) string {
	var kept []string
	for seg := range strings.SplitSeq(path, "/") {
		switch seg {
		case "", ".":
		case "..":
			if len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
		default:
			kept = append(kept, seg)
		}
	}
	out := "/" + strings.Join(kept, "/")
	if strings.HasSuffix(path, "/") && len(kept) > 0 {
		out += "/"
	}
	return out
}

func (s *scratch) appendQuery(dst []byte, raw string, encodedOrder bool, skip string) ([]byte, error) {
	if raw == "" {
		return dst, nil
	}
	s.pairs = s.pairs[:0]
	for raw != "" {
		var part string
		part, raw, _ = strings.Cut(raw, "&")
		if part == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(part, "=")
		name, err1 := url.QueryUnescape(rawName)
		value, err2 := url.QueryUnescape(rawValue)
		if err1 != nil || err2 != nil {
			return nil, fail(ErrIncomplete, "The query string could not be parsed.")
		}
		if skip != "" && name == skip {
			continue
		}
		s.pairs = append(s.pairs, pair{name, value, encoded(name), encoded(value)})
	}
	slices.SortStableFunc(s.pairs, func(a, b pair) int {
		if encodedOrder {
			if c := strings.Compare(a.encName, b.encName); c != 0 {
				return c
			}
			return strings.Compare(a.encValue, b.encValue)
		}
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	for i, p := range s.pairs {
		if i > 0 {
			dst = append(dst, '&')
		}
		dst = append(dst, p.encName...)
		dst = append(dst, '=')
		dst = append(dst, p.encValue...)
	}
	return dst, nil
}

func (q *request) appendHeaders(dst []byte, signed string) ([]byte, error) {
	n := 0
	for name := range strings.SplitSeq(signed, ";") {
		if n++; n > signedHeadersMax {
			return nil, fail(ErrIncomplete, "SignedHeaders names too many headers.")
		}
		if name == "" {
			return nil, fail(ErrIncomplete, "SignedHeaders must not name an empty header.")
		}
		dst = append(dst, name...)
		dst = append(dst, ':')
		dst = q.appendHeaderValue(dst, name)
		dst = append(dst, '\n')
	}
	return dst, nil
}

// appendHeaderValue gives back what net/http took out of the header map.
func (q *request) appendHeaderValue(dst []byte, name string) []byte {
	switch name {
	case "host", ":authority":
		return append(dst, q.host...)
	case "content-length":
		if q.contentLength >= 0 {
			return strconv.AppendInt(dst, q.contentLength, 10)
		}
	case "transfer-encoding":
		if len(q.transfer) > 0 {
			return append(dst, strings.Join(q.transfer, ",")...)
		}
	}
	for i, value := range q.header[canonicalName(name)] {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendCollapsed(dst, value)
	}
	return dst
}

// canonicalName is http.CanonicalHeaderKey without allocating for the names
// that SDKs sign.
func canonicalName(name string) string {
	switch name {
	case "x-amz-date":
		return "X-Amz-Date"
	case "x-amz-security-token":
		return "X-Amz-Security-Token"
	case "x-amz-content-sha256":
		return "X-Amz-Content-Sha256"
	case "x-amz-target":
		return "X-Amz-Target"
	case "x-amz-invocation-type":
		return "X-Amz-Invocation-Type"
	case "x-amz-log-type":
		return "X-Amz-Log-Type"
	case "x-amz-client-context":
		return "X-Amz-Client-Context"
	case "amz-sdk-invocation-id":
		return "Amz-Sdk-Invocation-Id"
	case "amz-sdk-request":
		return "Amz-Sdk-Request"
	case "content-type":
		return "Content-Type"
	}
	return http.CanonicalHeaderKey(name)
}

// appendCollapsed trims a value and joins runs of spaces.
func appendCollapsed(dst []byte, v string) []byte {
	start := len(dst)
	for i := 0; i < len(v); i++ {
		if v[i] == ' ' && (len(dst) == start || dst[len(dst)-1] == ' ') {
			continue
		}
		dst = append(dst, v[i])
	}
	if len(dst) > start && dst[len(dst)-1] == ' ' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

const upperHex = "0123456789ABCDEF"

func unreserved(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '-' || b == '.' || b == '_' || b == '~'
}

// appendEncoded percent-encodes everything but RFC 3986's unreserved bytes.
func appendEncoded(dst []byte, s string, keepSlash bool) []byte {
	for i := range len(s) {
		if b := s[i]; unreserved(b) || keepSlash && b == '/' {
			dst = append(dst, b)
		} else {
			dst = append(dst, '%', upperHex[b>>4], upperHex[b&15])
		}
	}
	return dst
}

func encoded(s string) string {
	for i := range len(s) {
		if !unreserved(s[i]) {
			return string(appendEncoded(make([]byte, 0, len(s)+16), s, false))
		}
	}
	return s
}
