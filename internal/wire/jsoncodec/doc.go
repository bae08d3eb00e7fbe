// Package jsoncodec owns JSON bodies: the encoder and the decoder that the
// protocols json and rest-json share. It must never import net/http or a
// service: where a member is placed in a message is decided by its callers.
package jsoncodec
