// Package aws owns the nouns of AWS that have no behaviour: ARN, account,
// region, principal, request id. It imports the standard library only, so that
// every room can name these things without depending on another room.
package aws
