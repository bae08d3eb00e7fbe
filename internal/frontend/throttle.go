package frontend

import (
	"errors"
	"strconv"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

// retryAfter is what a throttled caller is told to wait, in seconds.
const retryAfter = 1

// throttled is 429 for an account, or a node, at its limit.
func throttled() error {
	return throttledBy(api.ThrottleReasonConcurrentInvocationLimitExceeded)
}

// scalesTooFast is 429 for a function whose new environments come faster than its scaling
// rate. AWS publishes the rate and not which of its Reasons tells of it; this is the one for a
// function's rate.
func scalesTooFast() error {
	return throttledBy(api.ThrottleReasonFunctionInvocationRateLimitExceeded)
}

func throttledBy(reason string) error {
	fault := api.NewTooManyRequestsException("Rate Exceeded.") // Source: the recorded test_reserved_concurrency
	fault.Reason = &reason
	fault.RetryAfterSeconds = wire.Ptr(strconv.Itoa(retryAfter))
	return fault
}

func isThrottle(err error) bool {
	var throttle *api.TooManyRequestsException
	return errors.As(err, &throttle)
}

// unmetered is the Meter of a frontend that was given none.
type unmetered struct{}

func (unmetered) Began(*record.Function, string)     {}
func (unmetered) Ended(*record.Function, string)     {}
func (unmetered) Throttled(*record.Function, string) {}
func (unmetered) Recursed(*record.Function)          {}
