// Package wire owns the AWS protocols and the envelope of a request: routing,
// codecs (restjson, awsjson, awsquery, restxml, cbor, eventstream), faults, and
// in wire/sigv4 signatures. It knows no service: what a service looks like is
// told to it by the generated packages under internal/api. It must never import
// a room above level 1, or the protocols would grow special cases for services.
package wire

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
)

// Call is the envelope of one API request, after routing and authentication. A
// handler gets it beside its typed input. It is owned by the request and must
// not be kept after the handler returned.
type Call struct {
	RequestID aws.RequestID
	Service   string // the model's service, e.g. "lambda"
	Operation string // e.g. "CreateFunction"

	Account   aws.AccountID // the account acted in: the principal's
	Region    aws.Region    // from the credential scope, else the node's
	Principal aws.Principal

	// AccessKeyID is the key that signed, "" when unsigned or --auth=none.
	AccessKeyID string
	// SessionContext holds condition keys that come with the session, e.g.
	// "aws:PrincipalTag/team" or "aws:TokenIssueTime".
	SessionContext map[string][]string

	SourceIP        netip.Addr
	UserAgent       string
	SecureTransport bool
	// Endpoint is scheme://host:port as the client addressed it, for URLs that
	// an answer hands out.
	Endpoint string
	// Protocol is what the client speaks.
	Protocol Protocol
	// Path is the path as the client addressed it, decoded: services of the query
	// protocol have resources there (SQS: a queue's URL).
	Path string
	// Received is when the request's header had been read.
	Received time.Time
	// TraceID is the request's X-Amzn-Trace-Id.
	TraceID string
	// AnswerHeader takes headers of the answer that no shape carries.
	AnswerHeader http.Header
	// After, where set, leaves work for when the answer is on its way, or cannot be sent: the
	// request's goroutine does it then. It is for answers that fit into a socket's buffer, and
	// work that is shorter than a client's way to its next request.
	After func(work func())
}
