package frontend

import (
	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/frontend/lineage"
	"github.com/lambdad/lambdad/internal/record"
)

// lineage adds the function to the chain of requests that a trace header tells of, and stops
// an invoke that goes round in a loop. The functions of the chain pass the header on by their
// SDKs; queues keep it as AWSTraceHeader.
func (f *Frontend) lineage(fn *record.Function, header string) (string, error) {
	next, calls := lineage.Next(header, fn.ID)
	if calls <= lineage.CallsMax || f.MayLoop(fn.ID) {
		return next, nil
	}
	f.meter.Recursed(fn)
	f.log.Warn("an invoke is stopped that is part of a recursive loop", "function", fn.ID.QualifiedARN(fn.Version), "trace", next)
	return "", api.NewRecursiveInvocationException("Lambda detected that the function " + fn.ID.ARN() + " is invoked in a recursive loop, and stopped the invocation. PutFunctionRecursionConfig can allow it.")
}

// MayLoop tells whether recursive loops of the function are allowed.
func (f *Frontend) MayLoop(id record.FunctionID) bool {
	if f.loops == nil {
		return false
	}
	config, ok := f.loops.Get(record.Qualified{ID: id, Qualifier: record.Latest})
	return ok && config.Allow
}
