package sigv4

import "errors"

// Error kinds; match with errors.Is. The text of an *Error is AWS's own
// sentence, for the client to read.
var (
	// ErrMissing: the request carries no signature at all.
	ErrMissing = errors.New("sigv4: no signature")
	// ErrIncomplete: a part of the signature is absent or malformed.
	ErrIncomplete = errors.New("sigv4: incomplete signature")
	// ErrScope: the credential scope does not fit the request.
	ErrScope = errors.New("sigv4: wrong credential scope")
	// ErrSkewed: the signing time is too far from now.
	ErrSkewed = errors.New("sigv4: request time too skewed")
	// ErrExpired: a presigned request was used after its time.
	ErrExpired = errors.New("sigv4: presigned request expired")
	// ErrUnsignedHeader: a header that must be signed is not.
	ErrUnsignedHeader = errors.New("sigv4: header not signed")
	// ErrPayload: the payload is not the one whose hash was signed.
	ErrPayload = errors.New("sigv4: payload does not match its signed hash")
	// ErrMismatch: the signature is wrong.
	ErrMismatch = errors.New("sigv4: signature does not match")
	// ErrChunk: an aws-chunked body is malformed.
	ErrChunk = errors.New("sigv4: malformed chunked body")
)

// Error is a kind together with the sentence for the client.
type Error struct {
	Kind error
	Text string
}

func (e *Error) Error() string { return e.Text }
func (e *Error) Unwrap() error { return e.Kind }

func fail(kind error, text string) error { return &Error{Kind: kind, Text: text} }

// The sentence of a wrong signature, as the services other than S3 answer it.
const mismatchText = "The request signature we calculated does not match the signature you provided. " +
	"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
