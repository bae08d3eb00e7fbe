// Package shape owns the language in which generated types and codecs meet: a
// schema that tells of a structure's members what a protocol must know, and the
// Encoder and Decoder that each protocol implements once. It must never import
// a protocol or a service: both sides import it.
package shape
