// Package policy owns the IAM policy language: parsing, validating and
// evaluating documents. It is pure: no clock, no store, no goroutine, so that a
// decision can be replayed from its inputs. It must never import anything above
// the nouns of internal/aws, because what a policy means must not depend on
// who asks.
package policy
