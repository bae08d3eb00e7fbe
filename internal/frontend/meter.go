package frontend

import (
	"errors"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
)

// unmetered is the Meter of a frontend that was given none.
type unmetered struct{}

func (unmetered) Began(*record.Function, string)     {}
func (unmetered) Ended(*record.Function, string)     {}
func (unmetered) Throttled(*record.Function, string) {}

func isThrottle(err error) bool {
	var throttle *api.TooManyRequestsException
	return errors.As(err, &throttle)
}
