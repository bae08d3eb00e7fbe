package async

import (
	"time"

	"github.com/lambdad/lambdad/internal/record"
)

// Defaults and bounds of asynchronous invokes. Source: Lambda developer guide, "How Lambda
// handles errors and retries with asynchronous invocation".
const (
	retriesDefault = 2
	ageDefault     = 6 * time.Hour
	firstRetry     = time.Minute
	laterRetry     = 2 * time.Minute
	// backOffFirst and backOffMax bound the pause after a throttle or a failure of the system:
	// it "increases exponentially from 1 second after the first attempt to a maximum of 5 minutes".
	backOffFirst = time.Second
	backOffMax   = 5 * time.Minute
)

// condition says in an invocation record what came of the event. Source: the same guide,
// "Retaining records of asynchronous invocations"; recorded: test_reserved_concurrency.
type condition string

const (
	succeeded        condition = "Success"
	retriesExhausted condition = "RetriesExhausted"
	eventAgeExceeded condition = "EventAgeExceeded"
	zeroReserved     condition = "ZeroReservedConcurrency"
	// recursion is ours: AWS says that such events go to the on-failure destination, and not
	// with which condition.
	recursion condition = "RecursiveInvocation"
)

// outcome is what came of one attempt.
type outcome int

const (
	untried   outcome = iota // it was just leased
	ran                      // the function ran well
	failed                   // the function ran and failed
	postponed                // the function did not run: throttled, or the system failed
	gone                     // there is no such function any more
	stopped                  // the function did not run, and never will: the event goes round in a loop
)

// action is what to do with the event next.
type action int

const (
	actInvoke   action = iota
	actRetry           // again after the pause, counting the attempt
	actPostpone        // again after the pause
	actFinish          // it is over, with the condition
	actDrop            // it is over, and nobody is told
)

type step struct {
	action    action
	pause     time.Duration
	condition condition
}

// settings are what configuration says of an event, at this moment.
type settings struct {
	retries  int
	age      time.Duration
	reserved int // -1: no reservation
}

func settingsOf(config *record.EventInvokeConfig, reserved *record.Concurrency) settings {
	s := settings{retries: retriesDefault, age: ageDefault, reserved: -1}
	if config != nil && config.MaxRetries != nil {
		s.retries = int(*config.MaxRetries)
	}
	if config != nil && config.MaxAgeS != nil {
		s.age = time.Duration(*config.MaxAgeS) * time.Second
	}
	if reserved != nil {
		s.reserved = reserved.Reserved
	}
	return s
}

// decide is the whole policy: age is the event's, attempts how often the function ran for it,
// leases how often it came out of the queue since. Pauses are those of AWS, not yet scaled.
func decide(s settings, age time.Duration, attempts, leases int, o outcome) step {
	switch o {
	case untried:
		switch {
		case s.reserved == 0:
			return step{action: actFinish, condition: zeroReserved}
		case age >= s.age:
			return step{action: actFinish, condition: eventAgeExceeded}
		}
		return step{action: actInvoke}
	case ran:
		return step{action: actFinish, condition: succeeded}
	case stopped:
		return step{action: actFinish, condition: recursion}
	case gone:
		return step{action: actDrop}
	case failed:
		if attempts > s.retries {
			return step{action: actFinish, condition: retriesExhausted}
		}
		pause := firstRetry
		if attempts > 1 {
			pause = laterRetry
		}
		return step{action: actRetry, pause: pause}
	default:
		return step{action: actPostpone, pause: backOff(leases)}
	}
}

func backOff(leases int) time.Duration {
	pause := backOffFirst
	for range leases - 1 {
		if pause *= 2; pause >= backOffMax {
			return backOffMax
		}
	}
	return pause
}
