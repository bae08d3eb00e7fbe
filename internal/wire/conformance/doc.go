// Package conformance holds the protocols to AWS's own test vectors: it runs
// them through the whole server with values made from models at run time. It
// has no code but tests, and must never be imported.
package conformance
