package wire

import (
	"fmt"

	"github.com/lambdad/lambdad/internal/wire/shape"
)

// Fault is an error in the form a client sees it. Generated error shapes
// implement it, and *GenericFault stands for the errors that no model carries
// (signatures, access, routing). Any other error that reaches the edge becomes
// an internal failure without its text.
type Fault interface {
	error
	// FaultCode is the code on the wire, e.g. "ResourceNotFoundException".
	FaultCode() string
	// FaultMessage is the text for the client.
	FaultMessage() string
	// FaultStatus is the HTTP status.
	FaultStatus() int
}

// GenericFault is a fault without a modelled shape.
type GenericFault struct {
	Code    string
	Message string
	Status  int
	// QueryCode is the code in the query protocol, where it is another one. Services
	// that have left that protocol tell it in a header.
	QueryCode string
	// Headers are added to the response, e.g. Retry-After.
	Headers map[string]string
}

// NewFault makes a fault that no service model carries; the message is formatted.
func NewFault(status int, code, format string, args ...any) *GenericFault {
	return &GenericFault{Code: code, Message: fmt.Sprintf(format, args...), Status: status}
}

// QueryCode is the code of a fault in the query protocol.
func QueryCode(f Fault) string {
	switch v := f.(type) {
	case *GenericFault:
		if v.QueryCode != "" {
			return v.QueryCode
		}
	case shape.Structure:
		if e := v.WireSchema().Error; e != nil && e.QueryCode != "" {
			return e.QueryCode
		}
	}
	return f.FaultCode()
}

func (f *GenericFault) Error() string        { return f.Code + ": " + f.Message }
func (f *GenericFault) FaultCode() string    { return f.Code }
func (f *GenericFault) FaultMessage() string { return f.Message }
func (f *GenericFault) FaultStatus() int     { return f.Status }
