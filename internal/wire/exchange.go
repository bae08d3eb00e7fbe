package wire

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/wire/constraint"
	"github.com/lambdad/lambdad/internal/wire/httpbind"
	"github.com/lambdad/lambdad/internal/wire/shape"
)

// exchange is one request and its answer.
type exchange struct {
	server   *Server
	w        http.ResponseWriter
	r        *http.Request
	id       aws.RequestID
	received time.Time

	hints    hints
	endpoint *endpoint // nil until identified
	op       *Operation
	match    match
	codec    codec
	body     []byte
	bodyMax  int64
	bodyRead bool
	framed   bool           // the body is as it was sent: aws-chunked, if the request says so
	form     httpbind.Query // of the query protocol
	answered bool           // the status is on its way
	after    []func()       // what Call.After was given
}

// codec is a protocol's way with a whole message.
type codec interface {
	protocol() Protocol
	// decode reads the input.
	decode(x *exchange, in shape.Structure) error
	// answer writes the output, nil where the operation has none.
	answer(x *exchange, out shape.Structure) error
	// fault writes an error.
	fault(x *exchange, f Fault)
	// malformed is the code of an input that cannot be read.
	malformed() string
}

// serve runs a request from routing to the answer. An error is not answered yet.
func (x *exchange) serve() error {
	if err := x.identify(); err != nil {
		return err
	}
	if err := x.readBody(x.endpoint, x.op); err != nil {
		return err
	}
	if x.op == nil {
		if err := x.queryOperation(); err != nil {
			return err
		}
	}
	call, err := x.authenticate()
	if err != nil {
		return err
	}
	if !x.op.Built() || x.op.Stream != nil && x.codec.protocol() != RestJSON {
		// Before anything else is asked of the request: no input would make it work.
		return NewFault(http.StatusNotImplemented, "NotImplementedException",
			"The operation %s of %s is not implemented by lambdad.", x.op.Name, x.endpoint.ServiceID)
	}
	if err := x.decompress(); err != nil {
		return err
	}
	if err := x.checkMedia(); err != nil {
		return err
	}
	in := x.op.NewInput()
	if err := x.codec.decode(x, in); err != nil {
		return x.decodeFault(err)
	}
	ctx := x.r.Context()
	if err := x.admit(ctx, call, in); err != nil {
		return err
	}
	if x.op.Stream != nil {
		return x.op.Stream(ctx, call, in, &events{x: x})
	}
	out, err := x.op.Handle(ctx, call, in)
	if err != nil {
		return err
	}
	return x.codec.answer(x, out)
}

// admit authorises and validates, in this order, as AWS does.
func (x *exchange) admit(ctx context.Context, call *Call, in shape.Structure) error {
	svc := x.endpoint
	if svc.Authorize != nil {
		if err := svc.Authorize(ctx, call, x.op.Name, in); err != nil {
			return err
		}
	}
	if violations := constraint.Check(in); len(violations) > 0 {
		if svc.ValidationFault != nil {
			return svc.ValidationFault(violations)
		}
		return NewFault(http.StatusBadRequest, svc.ValidationCode, "%s", constraint.Message(violations, svc.HideValues))
	}
	return nil
}

func (x *exchange) authenticate() (*Call, error) {
	call := &Call{
		RequestID:       x.id,
		Service:         x.endpoint.Name,
		Operation:       x.op.Name,
		Region:          x.hints.region,
		UserAgent:       x.r.UserAgent(),
		SecureTransport: x.r.TLS != nil,
		Received:        x.received,
		TraceID:         x.r.Header.Get("X-Amzn-Trace-Id"),
		AnswerHeader:    x.w.Header(),
		Protocol:        x.codec.protocol(),
		Path:            x.r.URL.Path,
		After:           func(work func()) { x.after = append(x.after, work) },
	}
	if addr, err := netip.ParseAddrPort(x.r.RemoteAddr); err == nil {
		call.SourceIP = addr.Addr().Unmap()
	}
	call.Endpoint = "http://" + x.r.Host
	if x.r.TLS != nil {
		call.Endpoint = "https://" + x.r.Host
	}
	if !x.op.NoAuth {
		id, err := x.server.cfg.Authenticator.Authenticate(x.r, x.body, x.endpoint.SigningName, x.codec.protocol())
		if err != nil {
			return nil, err
		}
		call.Principal = id.Principal
		call.Account = id.Principal.Account
		call.AccessKeyID = id.AccessKeyID
		call.SessionContext = id.SessionContext
		if id.Region != "" {
			call.Region = id.Region
		}
		if id.Payload != nil {
			x.body, x.framed, x.form = id.Payload, false, nil
			if int64(len(x.body)) > x.bodyMax {
				return nil, tooLarge(x.bodyMax, x.operationLabel(x.op))
			}
		}
	}
	if call.Region == "" {
		call.Region = x.server.cfg.Region
	}
	return call, nil
}

func (x *exchange) decodeFault(err error) error {
	var malformed *shape.DecodeError
	if !errors.As(err, &malformed) {
		return err
	}
	code := x.codec.malformed()
	if x.endpoint.MalformedCode != "" {
		code = x.endpoint.MalformedCode
	}
	return NewFault(http.StatusBadRequest, code, "%s%s", x.endpoint.MalformedPrefix, malformed.Reason)
}

// fail answers an error. Only faults are for clients to see.
func (x *exchange) fail(err error) {
	var f Fault
	if !errors.As(err, &f) {
		if x.r.Context().Err() != nil {
			x.server.cfg.Log.Debug("client gone", "request", string(x.id), "error", err)
			panic(http.ErrAbortHandler) // nobody reads the answer
		}
		x.server.cfg.Log.Error("request failed", "request", string(x.id), "operation", x.operationName(), "error", err)
		f = x.internalFault(err)
	}
	if x.answered {
		x.server.cfg.Log.Error("fault after the answer began", "request", string(x.id), "operation", x.operationName(), "error", err)
		panic(http.ErrAbortHandler)
	}
	x.codec.fault(x, f)
}

// internalFault tells a client no more than that it was not its fault, and one reason that the
// host's owner can mend.
func (x *exchange) internalFault(err error) Fault {
	code, message := "InternalFailure", "The request processing has failed because of an unknown error, exception or failure."
	if errors.Is(err, syscall.ENOSPC) {
		message = "The host's disk is full; nothing was changed."
	}
	if x.endpoint != nil && x.endpoint.InternalCode != "" {
		code = x.endpoint.InternalCode
	}
	return &GenericFault{Code: code, Message: message, Status: http.StatusInternalServerError}
}

func (x *exchange) operationName() string {
	if x.endpoint == nil || x.op == nil {
		return ""
	}
	return x.endpoint.Name + ":" + x.op.Name
}

// recoverPanic turns a handler's panic into a 500: one broken request must not
// take the others with it.
func (x *exchange) recoverPanic() {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	x.server.cfg.Log.Error("handler panicked", "request", string(x.id), "operation", x.operationName(),
		"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if x.answered {
		panic(http.ErrAbortHandler)
	}
	x.codec.fault(x, x.internalFault(nil))
}
