// Package functionurl owns the HTTP endpoints of functions: it finds the function that a URL
// belongs to, lets in who may come, makes the request into an event of payload format 2.0 and
// the answer into a response. It must never import control: what is configured reaches it
// through record's views.
package functionurl

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/frontend"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

// bodyBytesMax bounds a request. Source: Lambda quotas, "Invocation payload", synchronous.
const bodyBytesMax = 6 << 20

// authIAM is the AuthType that wants a signature.
const authIAM = "AWS_IAM"

// Authority knows who sends a request and what they may do: *iam.Authority.
type Authority interface {
	wire.Authenticator
	AuthorizeAccess(ctx context.Context, call *wire.Call, access iam.Access) error
}

// Policies is the view of resource-based policies.
type Policies interface {
	Get(key record.Qualified) (*record.Policy, bool)
	Refresh(ctx context.Context, key record.Qualified) (*record.Policy, bool, error)
}

// Aliases is the view of aliases: a URL of one that is gone answers nobody.
type Aliases interface {
	Get(key record.Qualified) (*record.Alias, bool)
}

// Options of New. All doors must be given.
type Options struct {
	URLs      *record.View[record.Qualified, record.FunctionURL]
	Policies  Policies
	Aliases   Aliases
	Authority Authority
	// Invoke is frontend.Frontend's Run.
	Invoke func(context.Context, *frontend.Request) (frontend.Answer, error)
	Domain string
	Log    *slog.Logger
}

// Handler answers at the hosts and paths of function URLs.
type Handler struct {
	opts Options

	// byID is never changed, only replaced. mu orders those who do.
	byID atomic.Pointer[map[string]record.Qualified]
	mu   sync.Mutex
}

// New makes a handler that follows the view.
func New(o Options) (*Handler, error) {
	if o.URLs == nil || o.Policies == nil || o.Aliases == nil || o.Authority == nil || o.Invoke == nil {
		return nil, errors.New("functionurl: a door is missing in the options")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	h := &Handler{opts: o}
	h.byID.Store(&map[string]record.Qualified{})
	o.URLs.Subscribe(h.changed)
	return h, nil
}

func (h *Handler) changed(c record.ViewChange[record.Qualified, record.FunctionURL]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fresh := maps.Clone(*h.byID.Load())
	if c.Before != nil {
		delete(fresh, c.Before.ID)
	}
	if c.After != nil {
		fresh[c.After.ID] = c.Key
	}
	h.byID.Store(&fresh)
}

// Hosted reports whether a request came to the host of a function's URL.
func (h *Handler) Hosted(r *http.Request) bool {
	_, ok := h.idOfHost(r.Host)
	return ok
}

// idOfHost reads ID.lambda-url.REGION.DOMAIN, with or without a port.
func (h *Handler) idOfHost(host string) (string, bool) {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	rest, ok := strings.CutSuffix(strings.ToLower(strings.TrimSuffix(host, ".")), "."+h.opts.Domain)
	if !ok {
		return "", false
	}
	id, rest, _ := strings.Cut(rest, ".")
	label, region, ok := strings.Cut(rest, ".")
	return id, ok && label == record.FunctionURLLabel && region != ""
}

// ServeHTTP answers at the host form, and at the path form below record.FunctionURLPath.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, hosted := h.idOfHost(r.Host)
	path := r.URL.EscapedPath()
	if !hosted {
		rest, ok := strings.CutPrefix(path, record.FunctionURLPath)
		if !ok {
			refuse(w, http.StatusForbidden)
			return
		}
		id, path, _ = strings.Cut(rest, "/")
		path = "/" + path
	}
	key, ok := (*h.byID.Load())[id]
	if !ok {
		refuse(w, http.StatusForbidden)
		return
	}
	u, ok := h.opts.URLs.Get(key)
	if !ok || u.ID != id {
		refuse(w, http.StatusForbidden)
		return
	}
	h.serve(w, r, &target{id: id, key: key, url: u, path: path})
}

// target is a URL that was found.
type target struct {
	id   string
	key  record.Qualified
	url  *record.FunctionURL
	path string // raw, below the URL
}

func (t *target) name() record.Name {
	if t.key.Qualifier == record.Latest {
		return record.Name{ID: t.key.ID}
	}
	return record.Name{ID: t.key.ID, Qualifier: t.key.Qualifier}
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, t *target) {
	received := time.Now()
	cors := corsHeaders(t.url.Cors, r)
	if t.url.Cors != nil && preflight(r) {
		answerPreflight(w, cors)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyBytesMax))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			refuseWith(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException", "Request must be smaller than 6291456 bytes for the InvokeFunction operation")
		}
		return // else the client has gone
	}
	call := &wire.Call{
		RequestID: aws.NewRequestID(), Service: "lambda", Operation: "InvokeFunctionUrl", Account: t.key.ID.Account, Region: t.key.ID.Region,
		SourceIP: sourceIP(r), UserAgent: r.UserAgent(), SecureTransport: r.TLS != nil, Received: received, TraceID: r.Header.Get("X-Amzn-Trace-Id"),
	}
	if call.TraceID == "" {
		call.TraceID = frontend.NewTrace(received)
	}
	header := w.Header()
	header["x-amzn-RequestId"] = []string{string(call.RequestID)}
	for name, values := range cors {
		header[name] = values
	}
	if body, err = h.admit(r, call, t, body); err != nil {
		h.opts.Log.Debug("a function URL refused a request", "function", t.name().ARN(), "error", err)
		refuse(w, http.StatusForbidden)
		return
	}
	payload, err := eventOf(r, call, t, body, h.opts.Domain)
	if err != nil {
		refuse(w, http.StatusForbidden)
		return
	}
	request := &frontend.Request{Name: t.name(), RequestID: call.RequestID, Payload: payload, TraceID: call.TraceID, Received: received}
	var stream *streamed
	if t.url.InvokeMode == modeStream {
		stream = newStreamed(w, cors)
		request.Stream = stream
	}
	answer, err := h.opts.Invoke(r.Context(), request)
	if err != nil {
		h.fail(w, err)
		return
	}
	if stream != nil {
		stream.end(&answer)
		return
	}
	header["X-Amzn-Trace-Id"] = []string{answer.TraceID}
	if answer.FunctionError != "" {
		badGateway(w)
		return
	}
	respond(w, answer.Payload, cors)
}

// admit authenticates where the URL wants it, and authorises. It returns the body without the
// framing of a signed stream.
func (h *Handler) admit(r *http.Request, call *wire.Call, t *target, body []byte) ([]byte, error) {
	if t.key.Qualifier != record.Latest {
		if _, ok := h.opts.Aliases.Get(t.key); !ok {
			return nil, errors.New("the alias is gone")
		}
	}
	if t.url.AuthType == authIAM {
		id, err := h.opts.Authority.Authenticate(r, body, "lambda", wire.RestJSON)
		if err != nil {
			return nil, err
		}
		call.Principal, call.AccessKeyID, call.SessionContext, call.Account = id.Principal, id.AccessKeyID, id.SessionContext, id.Principal.Account
		if id.Payload != nil {
			body = id.Payload
		}
	}
	held, _ := h.opts.Policies.Get(t.key)
	refused := h.authorize(r.Context(), call, t, held)
	if refused == nil {
		return body, nil
	}
	// The permission may have been given a moment ago.
	fresh, ok, err := h.opts.Policies.Refresh(r.Context(), t.key)
	if err != nil || !ok || held != nil && held.Document == fresh.Document {
		return nil, errors.Join(refused, err)
	}
	return body, h.authorize(r.Context(), call, t, fresh)
}

// authorize asks for the rights that a URL wants: since October 2025 both. Source: Lambda developer
// guide, "Control access to Lambda function URLs".
func (h *Handler) authorize(ctx context.Context, call *wire.Call, t *target, held *record.Policy) error {
	var policies []string
	if held != nil {
		policies = []string{held.Document}
	}
	for _, right := range []struct{ action, key, value string }{
		{"lambda:InvokeFunctionUrl", "lambda:FunctionUrlAuthType", t.url.AuthType},
		{"lambda:InvokeFunction", "lambda:InvokedViaFunctionUrl", "true"},
	} {
		access := iam.Access{
			Action: right.action, Resource: t.name().ARN(), Owner: t.key.ID.Account, ResourcePolicies: policies,
			Conditions: map[string][]string{right.key: {right.value}},
		}
		if err := h.opts.Authority.AuthorizeAccess(ctx, call, access); err != nil {
			return err
		}
	}
	return nil
}

// fail answers for a function that did not run.
func (h *Handler) fail(w http.ResponseWriter, err error) {
	var throttle *api.TooManyRequestsException
	var missing *api.ResourceNotFoundException
	var fault wire.Fault
	switch {
	case errors.As(err, &throttle):
		refuseWith(w, http.StatusTooManyRequests, "TooManyRequestsException", "Rate Exceeded.")
	case errors.As(err, &missing):
		refuse(w, http.StatusForbidden)
	case errors.As(err, &fault) && fault.FaultStatus() == http.StatusServiceUnavailable:
		refuseWith(w, http.StatusServiceUnavailable, "ServiceUnavailableException", "Service Unavailable")
	default:
		h.opts.Log.Error("a function URL's function did not run", "error", err)
		badGateway(w)
	}
}

func sourceIP(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}
