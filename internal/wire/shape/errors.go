package shape

import "fmt"

// DecodeError tells that a message does not say what the model wants. Every
// decoder returns it, and the server turns it into the fault of the protocol.
type DecodeError struct {
	Reason string
	// Media is set when the fault is the media type and not the content.
	Media bool
}

func (e *DecodeError) Error() string { return e.Reason }

// Malformed makes a DecodeError; the reason is formatted.
func Malformed(format string, args ...any) *DecodeError {
	return &DecodeError{Reason: fmt.Sprintf(format, args...)}
}

// DepthMax bounds the nesting of values that a decoder follows. AWS's own
// documents stay far below it.
const DepthMax = 128
