package wire

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/lambdad/lambdad/internal/wire/httpbind"
	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

// bodyMaxDefault bounds request bodies of services that name no bound.
const bodyMaxDefault = 16 << 20

// aws-chunked bodies are longer than what they carry, by some 90 bytes for each chunk of 8 KiB or more
// (Amazon S3 API reference, "Signature calculations: transferring payload in multiple chunks"), and a trailer.
const (
	framingShare = 64
	framingSpare = 64 << 10
)

// errBodyTooLarge is turned into the service's own fault.
var errBodyTooLarge = errors.New("the request body is too large")

// readBody reads the whole body once, into one buffer of the right size.
// Signatures cover the whole body, so nothing can be decided before it is read.
// An aws-chunked body is decoded once its signature is known. (A service with
// streaming payloads would here leave it unread, and hand its chunk reader on.)
func (x *exchange) readBody(ep *endpoint, op *Operation) error {
	if x.bodyRead {
		return nil
	}
	x.bodyRead = true
	limit, name := int64(bodyMaxDefault), x.operationLabel(op)
	if ep != nil && ep.BodyMax > 0 {
		limit = ep.BodyMax
	}
	if op != nil && op.BodyMax > 0 {
		limit = op.BodyMax
	}
	sent := limit
	if sigv4.Streaming(x.r.Header.Get("X-Amz-Content-Sha256")) {
		sent += limit/framingShare + framingSpare // what it decodes to is held to the limit once it is verified
	}
	body, err := readAll(x.r, sent)
	if errors.Is(err, errBodyTooLarge) {
		x.w.Header().Set("Connection", "close") // the rest is not read
		return tooLarge(limit, name)
	}
	if err != nil {
		x.server.cfg.Log.Debug("request body not read", "request", string(x.id), "error", err)
		return NewFault(http.StatusBadRequest, "IncompleteBody", "The request body ended before its announced length.")
	}
	x.body, x.bodyMax, x.framed = body, limit, true
	return nil
}

func tooLarge(limit int64, operation string) *GenericFault {
	return NewFault(http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException",
		"Request must be smaller than %d bytes for the %s operation", limit, operation)
}

// decompress undoes request compression, after the signature was checked: it
// covers the body as it was sent.
func (x *exchange) decompress() error {
	if !x.op.Compressed || !strings.EqualFold(lastEncoding(x.r), "gzip") {
		return nil
	}
	body, err := gunzip(x.body, x.bodyMax)
	if errors.Is(err, errBodyTooLarge) {
		return tooLarge(x.bodyMax, x.operationLabel(x.op))
	}
	x.body = body
	return err
}

func (x *exchange) operationLabel(op *Operation) string {
	switch {
	case op == nil:
		return "requested"
	case op.BodyMaxName != "":
		return op.BodyMaxName
	}
	return op.Name
}

func readAll(r *http.Request, limit int64) ([]byte, error) {
	switch {
	case r.ContentLength > limit:
		return nil, errBodyTooLarge
	case r.ContentLength == 0:
		return nil, nil
	case r.ContentLength > 0:
		body := make([]byte, r.ContentLength)
		_, err := io.ReadFull(r.Body, body)
		return body, err
	}
	return readUnsized(r.Body, limit)
}

func readUnsized(r io.Reader, limit int64) ([]byte, error) {
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(r, limit+1))
	if err == nil && n > limit {
		err = errBodyTooLarge
	}
	return b.Bytes(), err
}

func lastEncoding(r *http.Request) string {
	last := ""
	for encoding := range strings.SplitSeq(r.Header.Get("Content-Encoding"), ",") {
		if encoding = strings.TrimSpace(encoding); !strings.EqualFold(encoding, "aws-chunked") { // the signature's, undone with it
			last = encoding
		}
	}
	return last
}

func gunzip(body []byte, limit int64) ([]byte, error) {
	zr, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, NewFault(http.StatusBadRequest, "SerializationException", "The body is not gzip")
	}
	out, err := readUnsized(zr, limit)
	if err != nil && !errors.Is(err, errBodyTooLarge) {
		return nil, NewFault(http.StatusBadRequest, "SerializationException", "The body is not gzip")
	}
	return out, err
}

// readForm reads the parameters of the query protocol: those of the body, or of
// the URL where the body has none.
func (x *exchange) readForm(ep *endpoint) (httpbind.Query, error) {
	if x.form != nil {
		return x.form, nil
	}
	if err := x.readBody(ep, nil); err != nil {
		return nil, err
	}
	body, err := x.body, error(nil)
	if how := x.r.Header.Get("X-Amz-Content-Sha256"); x.framed && sigv4.Streaming(how) {
		// The operation must be known before the signature is; the input is read again behind it.
		if body, err = sigv4.Unframe(body, how); err != nil {
			return nil, NewFault(http.StatusBadRequest, "IncompleteBody", "%s", err)
		}
	}
	if len(body) > 0 {
		x.form, err = httpbind.ParseQuery(string(body))
	} else {
		x.form, err = httpbind.ParseQuery(x.r.URL.RawQuery)
	}
	return x.form, err
}

// queryOperation finds the operation that a form names.
func (x *exchange) queryOperation() error {
	form, err := x.readForm(x.endpoint)
	if err != nil {
		return x.decodeFault(err)
	}
	action, ok := form.Get("Action")
	if !ok {
		return NewFault(http.StatusBadRequest, "MissingAction", "The request must contain the parameter Action.")
	}
	version, _ := form.Get("Version")
	op := x.endpoint.byName[action]
	if op == nil && x.endpoint.UnknownAction != nil {
		return x.endpoint.UnknownAction(action)
	}
	if op == nil || version != "" && version != x.endpoint.APIVersion {
		return NewFault(http.StatusBadRequest, "InvalidAction", "Could not find operation %s for version %s", action, version)
	}
	x.op = op
	return nil
}

// checkMedia refuses content types that do not fit, where the service asks for
// it. AWS's own services take what comes (curl's default type reaches Lambda);
// Smithy's servers do not.
func (x *exchange) checkMedia() error {
	if !x.endpoint.StrictMedia {
		return nil
	}
	return x.strictMedia()
}
