package runtimeapi

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// The fixed answers, whole. Status, JSON and the newline at its end are those of
// AWS's published runtime interface code.
var (
	statusAccepted      = jsonAnswer("202 Accepted", `{"status":"OK"}`)
	invalidRequestID    = errorAnswer("400 Bad Request", "Invalid request ID", "InvalidRequestID")
	invalidResponseMode = errorAnswer("400 Bad Request", "Invalid function response mode", "InvalidFunctionResponseMode")
	entityTooLarge      = errorAnswer("413 Request Entity Too Large", "Exceeded maximum allowed payload size (6291556 bytes).", "RequestEntityTooLarge")
	notFound            = textAnswer("404 Not Found", "404 page not found\n")
	methodNotAllowed    = textAnswer("405 Method Not Allowed", "")
	badRequest          = textAnswer("400 Bad Request", "400 Bad Request")
	headTooLarge        = textAnswer("431 Request Header Fields Too Large", "431 Request Header Fields Too Large")
	badCoding           = textAnswer("501 Not Implemented", "Unsupported transfer encoding")
	badVersion          = textAnswer("505 HTTP Version Not Supported", "505 HTTP Version Not Supported")
)

func jsonAnswer(status, json string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s\n", status, len(json)+1, json)
}

// errorAnswer's arguments hold no character that JSON escapes.
func errorAnswer(status, message, errorType string) []byte {
	return jsonAnswer(status, `{"errorMessage":"`+message+`","errorType":"`+errorType+`"}`)
}

func textAnswer(status, text string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s", status, len(text), text)
}

func invalidTransition(from phase, to string) []byte {
	return errorAnswer("403 Forbidden",
		"State transition from "+from.String()+" to "+to+" failed for runtime. Error: State transition is not allowed",
		"InvalidStateTransition")
}

// write sends an answer and reports whether the connection can be used on.
func (c *conn) write(answer []byte) bool {
	if c.head.minor == 0 && !c.head.close {
		answer = withConnection(answer, "keep-alive")
	} else if c.head.close {
		answer = withConnection(answer, "close")
	}
	_, err := c.nc.Write(answer)
	return err == nil
}

// withConnection adds the Connection field behind the status line.
func withConnection(answer []byte, token string) []byte {
	_, rest := cutLine(answer)
	line := answer[:len(answer)-len(rest)]
	return append(append(append([]byte{}, line...), "Connection: "+token+"\r\n"...), rest...)
}

// refuse answers without using the body. A peer that sends before it listens
// gets its body read first, within bounds; else the connection is closed.
func (c *conn) refuse(answer []byte) bool {
	if !c.discardBody(refusedTimeMax) {
		c.head.close = true
	}
	if c.s.refused.Add(1) > patienceMax {
		c.s.flood.Lock()
		time.Sleep(floodPause)
		c.s.flood.Unlock()
	}
	return c.write(answer)
}

// refuseHead answers a head that is no request, if it was one at all.
func (c *conn) refuseHead(err error) {
	c.head = head{minor: 1, close: true}
	switch {
	case errors.Is(err, errMalformed):
		c.write(badRequest)
	case errors.Is(err, errHeadTooLarge):
		c.write(headTooLarge)
	case errors.Is(err, errTransferCoding):
		c.write(badCoding)
	case errors.Is(err, errVersion):
		c.write(badVersion)
	}
}

// writeInvocation writes the answer of GET next. A large payload goes out from
// where it is, in one writev with the head.
func (c *conn) writeInvocation(inv *Invocation) error {
	b := c.out[:0]
	b = append(b, "HTTP/1.1 200 OK\r\n"...)
	contentType := inv.ContentType
	if contentType == "" {
		contentType = contentTypeJSON
	}
	b = appendField(b, "Content-Type", contentType)
	b = appendField(b, "Lambda-Runtime-Aws-Request-Id", string(inv.RequestID))
	b = append(b, "Lambda-Runtime-Deadline-Ms: "...)
	b = strconv.AppendInt(b, inv.Deadline.UnixMilli(), 10)
	b = append(b, "\r\n"...)
	b = appendField(b, "Lambda-Runtime-Invoked-Function-Arn", inv.FunctionARN)
	b = appendField(b, "Lambda-Runtime-Trace-Id", inv.TraceID)
	b = appendField(b, "Lambda-Runtime-Client-Context", inv.ClientContext)
	b = appendField(b, "Lambda-Runtime-Cognito-Identity", inv.CognitoIdentity)
	b = appendField(b, "Lambda-Runtime-Aws-Tenant-Id", inv.TenantID)
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(inv.Payload)), 10)
	if c.head.close {
		b = append(b, "\r\nConnection: close"...)
	} else if c.head.minor == 0 {
		b = append(b, "\r\nConnection: keep-alive"...)
	}
	b = append(b, "\r\n\r\n"...)
	if len(inv.Payload) <= copyMax {
		b = append(b, inv.Payload...)
		c.out = b
		_, err := c.nc.Write(b)
		return err
	}
	c.out = b
	buffers := net.Buffers{b, inv.Payload}
	_, err := buffers.WriteTo(c.nc)
	return err
}

// appendField appends a header, or nothing if the value is empty. Parts of the
// value come from the invoker: a control character, which JSON allows between
// tokens only, becomes a space, so that no value can end its line.
func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, name...)
	b = append(b, ": "...)
	start := len(b)
	b = append(b, value...)
	for i := start; i < len(b); i++ {
		if b[i] < ' ' || b[i] == 0x7f {
			b[i] = ' '
		}
	}
	return append(b, "\r\n"...)
}
