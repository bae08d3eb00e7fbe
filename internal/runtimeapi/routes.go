package runtimeapi

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"
	"time"
)

const (
	pathPrefix = "/2018-06-01/runtime/"
	pathStart  = "/2018-06-01/lambdad/start" // GateStart
)

// contentTypeJSON is the default both ways.
const contentTypeJSON = "application/json"

// route answers the request whose head is parsed. It reports whether the
// connection can be used on.
func (c *conn) route() bool {
	get, post := string(c.head.method) == "GET", string(c.head.method) == "POST"
	rest, ok := bytes.CutPrefix(c.head.path, []byte(pathPrefix))
	if !ok {
		if string(c.head.path) == pathStart && c.s.gates[GateStart].served {
			if !get {
				return c.refuse(methodNotAllowed)
			}
			return c.gate(GateStart)
		}
		if rest, ok := bytes.CutPrefix(c.head.path, []byte(extensionPrefix)); ok {
			return c.extensionRoute(rest)
		}
		if api, ok := telemetryPath(c.head.path); ok {
			return c.subscribe(api)
		}
		if string(c.head.path) == pathProcesses && c.s.processes != nil {
			return c.hand()
		}
		return c.refuse(notFound)
	}
	if string(rest) == "invocation/next" {
		if !get {
			return c.refuse(methodNotAllowed)
		}
		return c.next()
	}
	if after, ok := bytes.CutPrefix(rest, []byte("invocation/")); ok {
		i := bytes.IndexByte(after, '/')
		if i < 0 {
			return c.refuse(notFound)
		}
		to := phaseResponse
		switch string(after[i+1:]) {
		case "response":
		case "error":
			to = phaseErrorResponse
		default:
			return c.refuse(notFound)
		}
		if !post {
			return c.refuse(methodNotAllowed)
		}
		return c.answer(after[:i], to)
	}
	if string(rest) == "init/error" {
		if !post {
			return c.refuse(methodNotAllowed)
		}
		return c.initError(phaseStarted, phaseInitError)
	}
	if c.s.gates[GateRestore].served {
		switch string(rest) {
		case "restore/next":
			if !get {
				return c.refuse(methodNotAllowed)
			}
			return c.gate(GateRestore)
		case "restore/error":
			if !post {
				return c.refuse(methodNotAllowed)
			}
			return c.initError(phaseRestoring, phaseRestoreError)
		}
	}
	return c.refuse(notFound)
}

func (c *conn) next() bool {
	if !c.discardBody(refusedTimeMax) {
		return false
	}
	// Set before anything can deliver: out belongs to the writer from now on.
	c.waiting = true
	inv, from, ok := c.s.next(c)
	if inv == nil && ok {
		return true
	}
	c.waiting = false
	if !ok {
		return c.refuse(invalidTransition(from, "Ready"))
	}
	return c.deliverBy(context.Background(), inv) == nil
}

// answer is POST invocation/{id}/response and /error.
func (c *conn) answer(id []byte, to phase) bool {
	from, r := c.s.beginAnswer(id, to)
	switch r {
	case refusedID:
		return c.refuse(invalidRequestID)
	case refusedTransition:
		return c.refuse(invalidTransition(from, to.String()))
	}
	o := &Outcome{FirstByte: time.Now(), ContentType: contentTypeJSON}
	// What points into the buffer is copied before the body is read over it.
	if len(c.head.contentType) > 0 && string(c.head.contentType) != contentTypeJSON {
		o.ContentType = string(c.head.contentType)
	}
	if to == phaseErrorResponse {
		o.ErrorType = validErrorType(c.head.errorType)
	} else if len(c.head.mode) > 0 {
		if !equalFold(c.head.mode, "streaming") {
			c.s.abortAnswer()
			return c.refuse(invalidResponseMode)
		}
		o.Streaming = true
		if st := c.s.streamTo(); st != nil {
			return c.answerStream(st, o)
		}
	}
	b, err := c.readBody(c.s.opts.ResponseBytesMax, bodyTimeMax)
	if errors.Is(err, errBodyTooLarge) {
		o.tooLarge(ResponseBytesMax)
		c.s.finishAnswer(o)
		return c.refuse(entityTooLarge)
	}
	if err != nil {
		c.s.abortAnswer()
		if isProtocolError(err) {
			c.write(badRequest)
		}
		return false
	}
	o.Payload = b.data
	o.trailed(&b)
	o.Done = time.Now()
	// Set before anything can acknowledge: out belongs to the writer from now on.
	c.waiting = c.s.hold(c)
	c.s.finishAnswer(o)
	return c.waiting || c.write(statusAccepted)
}

// tooLarge makes o the error that AWS answers for a response over the bound.
// Source: AWS's recorded answers, test_lambda_too_large_response.
func (o *Outcome) tooLarge(limit int) {
	o.fail("Function.ResponseSizeTooLarge", "Response payload size exceeded maximum allowed payload size ("+strconv.Itoa(limit)+" bytes).")
}

// fail makes o an error of the platform's. The message holds no character that JSON escapes.
func (o *Outcome) fail(errorType, message string) {
	o.ErrorType = errorType
	o.ContentType = contentTypeJSON
	o.Payload = []byte(`{"errorMessage":"` + message + `","errorType":"` + errorType + `"}`)
	o.Done = time.Now()
}

// trailed takes what the trailer of a streamed answer told: that it broke in the function.
func (o *Outcome) trailed(b *body) {
	if len(b.errorType) == 0 {
		return
	}
	o.ErrorType = validErrorType(b.errorType)
	o.Payload = decodeErrorBody(b.errorBody)
	o.ContentType = contentTypeJSON
}

// initError is POST init/error, and restore/error with its own phases.
func (c *conn) initError(in, to phase) bool {
	if from, ok := c.s.beginInitError(in); !ok {
		return c.refuse(invalidTransition(from, to.String()))
	}
	e := &InitError{ErrorType: validErrorType(c.head.errorType)}
	b, err := c.readBody(c.s.opts.ResponseBytesMax, bodyTimeMax)
	if errors.Is(err, errBodyTooLarge) {
		c.s.finishInitError(nil, in, to)
		return c.refuse(entityTooLarge)
	}
	if err != nil {
		c.s.finishInitError(nil, in, to)
		if isProtocolError(err) {
			c.write(badRequest)
		}
		return false
	}
	e.Payload = b.data
	c.s.finishInitError(e, in, to)
	return c.write(statusAccepted)
}

// validErrorType returns the error type if it has the form that AWS accepts,
// (Runtime|Function).[A-Z][a-zA-Z]+, and else what AWS puts in its place.
func validErrorType(b []byte) string {
	family, name, _ := strings.Cut(string(b), ".")
	if family != "Runtime" && family != "Function" {
		return "Runtime.Unknown"
	}
	ok := len(name) >= 2 && 'A' <= name[0] && name[0] <= 'Z'
	for _, r := range name {
		ok = ok && ('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
	}
	if !ok {
		return family + ".Unknown"
	}
	return string(b)
}

func isProtocolError(err error) bool {
	return errors.Is(err, errMalformed) || errors.Is(err, errTrailerTooLarge) || errors.Is(err, errTransferCoding)
}
