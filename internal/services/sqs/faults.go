package sqs

import (
	"errors"
	"maps"
	"net/http"
	"slices"

	api "github.com/lambdad/lambdad/internal/api/sqs"
	"github.com/lambdad/lambdad/internal/services/sqs/flow"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
	"github.com/lambdad/lambdad/internal/wire/constraint"
)

// Faults that the model does not carry have one code in each protocol (recorded:
// Code and QueryErrorCode).
func invalidValue(format string, args ...any) error {
	f := wire.NewFault(http.StatusBadRequest, "InvalidParameterValueException", format, args...)
	f.QueryCode = "InvalidParameterValue"
	return f
}

func invalidParameter(value, name, reason string) error {
	return invalidValue("Value %s for parameter %s is invalid. Reason: %s", value, name, reason)
}

func missing(name string) error {
	f := wire.NewFault(http.StatusBadRequest, "MissingRequiredParameterException", "The request must contain the parameter %s.", name)
	f.QueryCode = "MissingParameter"
	return f
}

func invalidAttribute(name, reason string) error {
	text := "Invalid value for the parameter " + name + "."
	if reason != "" {
		text += " Reason: " + reason
	}
	return api.NewInvalidAttributeValue(text)
}

// noQueue words what is told of a queue that is not there, which each protocol has in
// its own words (recorded).
func noQueue(call *wire.Call) error {
	if call.Protocol == wire.Query {
		return api.NewQueueDoesNotExist("The specified queue does not exist for this wsdl version.")
	}
	return api.NewQueueDoesNotExist("The specified queue does not exist.")
}

// invalidAction is told of actions that the service, or a queue's URL, does not have.
func invalidAction(action string) error {
	return wire.NewFault(http.StatusBadRequest, "InvalidAction", "The action %s is not valid for this endpoint.", action)
}

// validationFault words the model's constraints, which are required members only.
func validationFault(violations []constraint.Violation) error {
	return missing(titled(violations[0].Path))
}

// titled undoes the lower case that paths of violations begin with.
func titled(path string) string {
	if path == "" || path[0] < 'a' || path[0] > 'z' {
		return path
	}
	return string(path[0]-'a'+'A') + path[1:]
}

// fault turns the kinds of the rooms below into the service's errors; what it does
// not know becomes an internal failure at the edge.
func fault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNoQueue):
		return noQueue(&wire.Call{}) // deleted meanwhile
	case errors.Is(err, flow.ErrOverLimit):
		return api.NewOverLimit("The maximum number of in flight messages is reached.")
	case errors.Is(err, errThrottled):
		return api.NewRequestThrottled("The request was denied due to request throttling.")
	case errors.Is(err, store.ErrFull):
		f := wire.NewFault(http.StatusServiceUnavailable, "ServiceUnavailable", "The host's disk is full; nothing was changed.")
		return f
	}
	return err
}

// errThrottled: a queue got more than it remembers.
var errThrottled = errors.New("sqs: too many messages in five minutes")

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
