package wire

import (
	"net/http"

	"github.com/lambdad/lambdad/internal/aws"
)

// Identity is what authentication finds out about a request: who signed it, and
// the credential scope it was signed for.
type Identity struct {
	Principal   aws.Principal
	AccessKeyID string
	Region      aws.Region
	Service     string
	// SessionContext holds the condition keys that come with the session.
	SessionContext map[string][]string
	// Payload is the body without its aws-chunked framing, verified chunk by chunk;
	// nil where it was sent without one.
	Payload []byte
}

// Authenticator verifies who sent r. payload is the whole body, as it was sent.
// service is the signing name of the service that the router chose. The error is
// a Fault in the idiom of protocol. Implementations must be safe for concurrent
// use and must not keep payload.
type Authenticator interface {
	Authenticate(r *http.Request, payload []byte, service string, protocol Protocol) (Identity, error)
}
