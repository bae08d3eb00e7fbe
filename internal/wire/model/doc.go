// Package model owns the reading of AWS service models in the JSON dialect that
// botocore carries: operations, shapes, traits, in the model's own order. Both
// cmd/apigen and the protocol conformance tests read models through it. It must
// never import a codec or a service, because what it describes exists before
// either of them.
package model
