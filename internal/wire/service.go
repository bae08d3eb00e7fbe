package wire

import (
	"context"

	"github.com/lambdad/lambdad/internal/wire/constraint"
	"github.com/lambdad/lambdad/internal/wire/shape"
)

// Service is what the server must know to serve one API. Generated packages
// make it from their handlers.
type Service struct {
	Name         string // the package's name, e.g. "lambda"
	SigningName  string // the service of a credential scope
	EndpointName string // the first label of the host, e.g. "lambda"
	ServiceID    string // e.g. "CloudWatch Logs"
	APIVersion   string
	TargetPrefix string // before the dot of X-Amz-Target
	XMLNamespace string
	Protocols    []Protocol
	// QueryCompatible services tell the former query error code in a header.
	QueryCompatible bool
	// FormerStatus services answer faults with the status of the former query
	// protocol, whatever Smithy says (SQS: PurgeQueueInProgress is 403 in JSON, recorded).
	FormerStatus bool
	Operations   []Operation
	// Authorize, where set, is asked once, after decoding and before validation.
	Authorize AuthorizeFunc
	// ValidationCode is the code of a constraint fault, e.g. "ValidationException".
	ValidationCode string
	// HideValues leaves callers' values out of constraint faults.
	HideValues bool
	// ValidationFault, where set, makes the constraint fault instead.
	ValidationFault func([]constraint.Violation) error
	// MalformedCode is the code of an input that cannot be read, where it is not
	// the protocol's, and MalformedPrefix begins its text.
	MalformedCode   string
	MalformedPrefix string
	// InternalCode is the code of a 500, where it is not InternalFailure.
	InternalCode string
	// BodyMax bounds request bodies in bytes; 0 leaves the default.
	BodyMax int64
	// QueryDetail writes an empty Detail into each fault of the query protocol, but
	// for the codes of QueryNoDetail.
	QueryDetail   bool
	QueryNoDetail []string
	// UnknownAction, where set, words the refusal of an action of the query protocol
	// that the service does not have.
	UnknownAction func(action string) error
	// StrictMedia refuses content types and accepted types that do not fit.
	StrictMedia bool
	// NoErrorWrapping services have no ErrorResponse around Error (S3).
	NoErrorWrapping bool
}

// AuthorizeFunc decides whether the caller may do an operation on what in names.
type AuthorizeFunc func(ctx context.Context, call *Call, operation string, in any) error

// OperationFunc is a handler with its types erased.
type OperationFunc func(ctx context.Context, call *Call, in shape.Structure) (shape.Structure, error)

// Operation is one call of a service: where it is found, what goes in and out,
// and who handles it.
type Operation struct {
	Name   string
	Method string
	URI    string // as the model writes it, with labels and literal query
	Status int    // of success
	// NoAuth operations are called without credentials.
	NoAuth        bool
	ResultWrapper string // of the query protocol
	Compressed    bool   // gzip request bodies are accepted
	BodyMax       int64  // bounds the body where the service's bound does not
	BodyMaxName   string // names the operation in that fault; the model's name if ""

	// HasInput tells that the model gives an input shape, be it empty.
	HasInput bool
	NewInput func() shape.Structure
	Output   *shape.Schema // nil: no output
	// Handle, or Stream where the answer is a stream of events, is nil when the operation
	// is not built.
	Handle OperationFunc
	Stream StreamFunc
}

// Built reports whether the operation has a handler.
func (op *Operation) Built() bool { return op.Handle != nil || op.Stream != nil }

// Pointer is the constraint that *T is a structure.
type Pointer[T any] interface {
	*T
	shape.Structure
}

// Handle erases the types of a handler with an output. A nil handler stays nil.
func Handle[I, O any, PI Pointer[I], PO Pointer[O]](f func(context.Context, *Call, PI) (PO, error)) OperationFunc {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, call *Call, in shape.Structure) (shape.Structure, error) {
		out, err := f(ctx, call, in.(PI))
		if err != nil {
			return nil, err
		}
		if out == nil {
			return nil, nil
		}
		return out, nil
	}
}

// HandleNoOutput erases the types of a handler without an output.
func HandleNoOutput[I any, PI Pointer[I]](f func(context.Context, *Call, PI) error) OperationFunc {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, call *Call, in shape.Structure) (shape.Structure, error) {
		return nil, f(ctx, call, in.(PI))
	}
}
