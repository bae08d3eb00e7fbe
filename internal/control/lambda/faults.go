package lambda

import (
	"errors"
	"fmt"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

// The texts below are what AWS answered, recorded; recorded_test.go holds them.

func notFound(n record.Name) error {
	return api.NewResourceNotFoundException("Function not found: " + n.ARN())
}

// notThere is what several operations say of what does not exist.
func notThere() error {
	return api.NewResourceNotFoundException("The resource you requested does not exist.")
}

func invalid(format string, args ...any) error {
	return api.NewInvalidParameterValueException(fmt.Sprintf(format, args...))
}

// constraint is the fault of a value outside a bound that the model does not
// carry, in the words of those that it does.
func constraint(value any, member, must string) error {
	return wire.NewFault(400, "ValidationException",
		"1 validation error detected: Value '%v' at '%s' failed to satisfy constraint: %s", value, member, must)
}

func inState(s record.State) error {
	return api.NewResourceConflictException("The operation cannot be performed at this time. The function is currently in the following state: " + string(s))
}

func updateInProgress(id record.FunctionID) error {
	return api.NewResourceConflictException("The operation cannot be performed at this time. An update is in progress for resource: " + id.ARN())
}

// foreign is the fault of an operation that no resource-based policy opens to other accounts.
// The text is IAM's.
func foreign(call *wire.Call, n record.Name) error {
	action := "lambda:" + call.Operation
	return wire.NewFault(403, "AccessDeniedException", "User: %s is not authorized to perform: %s on resource: %s because no resource-based policy allows the %s action",
		call.Principal.ARN, action, n.ARN(), action)
}

// fault turns the kinds of the rooms below into the service's errors; what it does not
// know passes, and becomes an internal failure at the edge.
func fault(err error) error {
	var name *record.NameError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &name):
		switch {
		case errors.Is(err, record.ErrOtherRegion):
			return api.NewResourceNotFoundException(name.Text)
		case errors.Is(err, record.ErrQualifierMismatch):
			return api.NewInvalidParameterValueException(name.Text)
		default:
			return wire.NewFault(400, "ValidationException", "%s", name.Text)
		}
	default:
		return err
	}
}
