package runtimeapi

import (
	"bytes"
	"errors"
	"strings"
)

// Bounds of a request's head. One header is legitimately huge: AWS's clients
// send the X-Ray cause of an error, up to 1 MiB, in a header.
const (
	headBytesMax   = 1<<20 + 64<<10
	headFieldsMax  = 256
	targetBytesMax = 4 << 10
)

var (
	errMalformed       = errors.New("runtimeapi: malformed request")
	errHeadTooLarge    = errors.New("runtimeapi: request head too large")
	errVersion         = errors.New("runtimeapi: HTTP version not supported")
	errTransferCoding  = errors.New("runtimeapi: transfer coding not supported")
	errBodyTooLarge    = errors.New("runtimeapi: body too large")
	errTrailerTooLarge = errors.New("runtimeapi: trailer too large")
)

// head is what the server needs of a request's head. Its slices point into the
// buffer that was parsed and are valid until the connection reads on.
type head struct {
	method      []byte
	path        []byte
	minor       byte // HTTP/1.minor
	length      int64
	hasLength   bool
	chunked     bool
	close       bool
	keepAlive   bool
	expect      bool // 100-continue
	hasHost     bool
	contentType []byte
	errorType   []byte
	mode        []byte // Lambda-Runtime-Function-Response-Mode
	extension   extensionHead
}

// extensionHead is what only extensions send.
type extensionHead struct {
	name, id, features, errorType []byte
}

// headEnd returns the length of the head including its empty line, or -1 if it
// is not whole yet. Nothing before from holds the end.
func headEnd(b []byte, from int) int {
	for from < len(b) {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return -1
		}
		from += i + 1
		rest := b[from:]
		if len(rest) > 0 && rest[0] == '\n' {
			return from + 1
		}
		if len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n' {
			return from + 2
		}
	}
	return -1
}

// parse reads a whole head, as headEnd delimits it.
func (h *head) parse(b []byte) error {
	*h = head{}
	line, b := cutLine(b)
	if err := h.parseRequestLine(line); err != nil {
		return err
	}
	for fields := 0; ; fields++ {
		line, b = cutLine(b)
		if len(line) == 0 {
			break
		}
		if fields == headFieldsMax {
			return errHeadTooLarge
		}
		name, value, err := cutField(line)
		if err != nil {
			return err
		}
		if err := h.field(name, value); err != nil {
			return err
		}
	}
	switch {
	case h.chunked && (h.hasLength || h.minor == 0):
		return errMalformed // RFC 9112 section 6.1: a message with both is an attack or an error
	case h.minor == 1 && !h.hasHost:
		return errMalformed
	}
	if h.minor == 0 {
		h.close = h.close || !h.keepAlive
	}
	return nil
}

func (h *head) parseRequestLine(line []byte) error {
	i := bytes.IndexByte(line, ' ')
	j := bytes.LastIndexByte(line, ' ')
	if i <= 0 || j <= i+1 || !isToken(line[:i]) {
		return errMalformed
	}
	h.method = line[:i]
	target, version := line[i+1:j], line[j+1:]
	if len(target) > targetBytesMax {
		return errHeadTooLarge
	}
	for _, c := range target {
		if c <= ' ' || c == 0x7f {
			return errMalformed
		}
	}
	switch {
	case string(version) == "HTTP/1.1":
		h.minor = 1
	case string(version) == "HTTP/1.0":
		h.minor = 0
	case bytes.HasPrefix(version, []byte("HTTP/")):
		return errVersion
	default:
		return errMalformed
	}
	// Absolute form, as a client behind a proxy setting sends it.
	if after, ok := bytes.CutPrefix(target, []byte("http://")); ok {
		k := bytes.IndexByte(after, '/')
		if k < 0 {
			return errMalformed
		}
		target = after[k:]
	}
	if k := bytes.IndexByte(target, '?'); k >= 0 {
		target = target[:k]
	}
	h.path = target
	return nil
}

func (h *head) field(name, value []byte) error {
	switch len(name) {
	case len("Host"):
		if equalFold(name, "host") {
			h.hasHost = true
		}
	case len("Expect"):
		if equalFold(name, "expect") {
			h.expect = equalFold(value, "100-continue")
		}
	case len("Connection"):
		if equalFold(name, "connection") {
			for v := range bytes.SplitSeq(value, []byte(",")) {
				v = bytes.TrimSpace(v)
				h.close = h.close || equalFold(v, "close")
				h.keepAlive = h.keepAlive || equalFold(v, "keep-alive")
			}
		}
	case len("Content-Type"):
		if equalFold(name, "content-type") {
			h.contentType = value
		}
	case len("Content-Length"):
		if equalFold(name, "content-length") {
			n, ok := parseLength(value)
			if !ok || h.hasLength && n != h.length {
				return errMalformed
			}
			h.length, h.hasLength = n, true
		}
	case len("Transfer-Encoding"):
		if equalFold(name, "transfer-encoding") {
			if !equalFold(value, "chunked") {
				return errTransferCoding
			}
			if h.chunked {
				return errMalformed
			}
			h.chunked = true
		}
	case len(fieldErrorType):
		if equalFold(name, fieldErrorType) {
			h.errorType = value
		}
	case len(fieldResponseMode):
		if equalFold(name, fieldResponseMode) {
			h.mode = value
		}
	case len(fieldExtensionName):
		if equalFold(name, fieldExtensionName) {
			h.extension.name = value
		}
	case len(fieldExtensionID):
		if equalFold(name, fieldExtensionID) {
			h.extension.id = value
		}
	case len(fieldExtensionFeatures):
		if equalFold(name, fieldExtensionFeatures) {
			h.extension.features = value
		}
	case len(fieldExtensionErrorType):
		if equalFold(name, fieldExtensionErrorType) {
			h.extension.errorType = value
		}
	}
	return nil
}

// Names are written in lower case for equalFold.
const (
	fieldErrorType    = "lambda-runtime-function-error-type"
	fieldErrorBody    = "lambda-runtime-function-error-body"
	fieldResponseMode = "lambda-runtime-function-response-mode"

	fieldExtensionName      = "lambda-extension-name"
	fieldExtensionID        = "lambda-extension-identifier"
	fieldExtensionFeatures  = "lambda-extension-accept-feature"
	fieldExtensionErrorType = "lambda-extension-function-error-type"
)

// cutLine returns b's first line without its end, and the rest.
func cutLine(b []byte) (line, rest []byte) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return b, nil
	}
	line, rest = b[:i], b[i+1:]
	if i > 0 && line[i-1] == '\r' {
		line = line[:i-1]
	}
	return line, rest
}

// cutField splits a header line. A line that begins with a space (the old
// folding) has no valid name and is refused.
func cutField(line []byte) (name, value []byte, err error) {
	i := bytes.IndexByte(line, ':')
	if i <= 0 || !isToken(line[:i]) {
		return nil, nil, errMalformed
	}
	value = bytes.Trim(line[i+1:], " \t")
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return nil, nil, errMalformed
		}
	}
	return line[:i], value, nil
}

// parseLength takes digits only; beyond 18 of them nothing is a length.
func parseLength(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// isToken reports whether b is an RFC 9110 token.
func isToken(b []byte) bool {
	for _, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return len(b) > 0
}

// equalFold compares b with a lower-case ASCII string without regard to case.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
