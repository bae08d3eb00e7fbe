package runtimeapi

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
)

var errEventLost = errors.New("runtimeapi: an event could not be written")

type event struct {
	EventType      string        `json:"eventType"`
	DeadlineMs     int64         `json:"deadlineMs"`
	RequestID      aws.RequestID `json:"requestId,omitempty"`
	FunctionARN    string        `json:"invokedFunctionArn,omitempty"`
	Tracing        *tracing      `json:"tracing,omitempty"`
	ShutdownReason string        `json:"shutdownReason,omitempty"`
}

type tracing struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

func (e event) body() []byte {
	b, err := json.Marshal(e)
	if err != nil {
		panic("runtimeapi: an event that cannot be JSON: " + err.Error())
	}
	return b
}

func invokeEvent(inv *Invocation) []byte {
	e := event{EventType: eventInvoke, DeadlineMs: inv.Deadline.UnixMilli(), RequestID: inv.RequestID, FunctionARN: inv.FunctionARN}
	if inv.TraceID != "" {
		e.Tracing = &tracing{"X-Amzn-Trace-Id", inv.TraceID}
	}
	return e.body()
}

func shutdownEvent(reason string, deadline time.Time) []byte {
	return event{EventType: eventShutdown, DeadlineMs: deadline.UnixMilli(), ShutdownReason: reason}.body()
}

// withIdentifier is the whole answer of GET event/next.
func withIdentifier(body []byte) []byte {
	return withField(jsonAnswer("200 OK", string(body)), "Lambda-Extension-Event-Identifier", string(aws.NewRequestID()))
}

// withField adds a field behind the status line.
func withField(answer []byte, name, value string) []byte {
	_, rest := cutLine(answer)
	line := answer[:len(answer)-len(rest)]
	return append(append(append([]byte{}, line...), name+": "+value+"\r\n"...), rest...)
}

// deliverEvent writes an event as the answer of this connection's GET event/next. An extension
// that does not read it will not ask again either, and runs out of its time.
func (c *conn) deliverEvent(answer []byte) {
	defer func() { c.answered <- struct{}{} }()
	if err := c.writeEvent(answer); err != nil || c.head.close {
		c.nc.Close()
	}
}

func (c *conn) writeEvent(answer []byte) error {
	if err := c.nc.SetWriteDeadline(time.Now().Add(deliverTimeMax)); err != nil {
		return err
	}
	if !c.write(answer) {
		return errEventLost
	}
	return c.nc.SetWriteDeadline(time.Time{})
}
