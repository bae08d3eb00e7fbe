package wire

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/wire/httpbind"
)

// hints are what a request says about its service before anything is verified.
type hints struct {
	scope  string // the service of the credential scope
	region aws.Region
	target string // X-Amz-Target, or made of a rpc path
	rpc    bool   // the path is /service/X/operation/Y
	host   string // the service's label of the host
}

func (s *Server) readHints(r *http.Request) hints {
	var h hints
	h.scope, h.region = credentialScope(r)
	h.target = r.Header.Get("X-Amz-Target")
	if rest, ok := strings.CutPrefix(r.URL.Path, "/service/"); ok {
		if service, op, ok := strings.Cut(rest, "/operation/"); ok && !strings.Contains(op, "/") {
			h.rpc, h.target = true, service+"."+op
		}
	}
	var region aws.Region
	h.host, region = s.splitHost(r.Host)
	if h.region == "" {
		h.region = region
	}
	return h
}

// credentialScope reads service and region out of a SigV4 credential:
// KEY/DATE/REGION/SERVICE/aws4_request, in the header or the query.
func credentialScope(r *http.Request) (service string, region aws.Region) {
	scope := ""
	if auth := r.Header.Get("Authorization"); auth != "" {
		_, rest, ok := strings.Cut(auth, "Credential=")
		if !ok {
			return "", ""
		}
		scope, _, _ = strings.Cut(rest, ",")
	} else if strings.Contains(r.URL.RawQuery, "X-Amz-Credential=") {
		_, rest, _ := strings.Cut(r.URL.RawQuery, "X-Amz-Credential=")
		rest, _, _ = strings.Cut(rest, "&")
		var err error
		if scope, err = url.QueryUnescape(rest); err != nil {
			return "", ""
		}
	}
	parts := strings.Split(strings.TrimSpace(scope), "/")
	// The key id may hold slashes; the other four parts stand at the end.
	if n := len(parts); n >= 5 {
		return parts[n-2], aws.Region(parts[n-3])
	}
	return "", ""
}

// splitHost reads SERVICE.REGION.DOMAIN or SERVICE.DOMAIN (a global endpoint).
func (s *Server) splitHost(host string) (service string, region aws.Region) {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	host = strings.ToLower(host)
	labels, ok := strings.CutSuffix(host, ".amazonaws.com")
	if !ok {
		labels, ok = strings.CutSuffix(host, ".amazonaws.com.cn")
	}
	for i := 0; !ok && i < len(s.cfg.Domains); i++ {
		labels, ok = strings.CutSuffix(host, "."+strings.ToLower(s.cfg.Domains[i]))
	}
	if !ok {
		return "", ""
	}
	parts := strings.Split(labels, ".")
	last := len(parts) - 1
	if last >= 1 && len(s.byHost[parts[last]]) == 0 {
		region = aws.Region(parts[last])
		last--
	}
	// What stands before the service (a bucket, a host prefix) is its own matter.
	return parts[last], region
}

// identify finds the service and, where the header alone tells it, the
// operation. Query requests learn their operation from the body.
func (x *exchange) identify() error {
	x.hints = x.server.readHints(x.r)
	eps, named := x.candidates()
	for _, ep := range eps {
		if x.tryEndpoint(ep, named) {
			return nil
		}
	}
	if !named {
		eps = nil
	}
	return x.unknownOperation(eps)
}

// candidates are the services that the strongest hint names, or else all of them: a
// credential scope that names none of ours is an error, which verification tells best.
func (x *exchange) candidates() (eps []*endpoint, named bool) {
	s, h := x.server, &x.hints
	if h.target != "" {
		prefix, _, _ := strings.Cut(h.target, ".")
		if i := strings.LastIndexByte(h.target, '.'); i >= 0 {
			prefix = h.target[:i]
		}
		if ep := s.byTarget[prefix]; ep != nil {
			return []*endpoint{ep}, true
		}
	}
	if eps := s.bySign[h.scope]; eps != nil {
		return eps, true
	}
	if eps := s.byHost[h.host]; eps != nil {
		return eps, true
	}
	return s.all, false
}

// tryEndpoint settles on a service if the request can be one of its protocols.
func (x *exchange) tryEndpoint(ep *endpoint, named bool) bool {
	if x.hints.target != "" {
		if x.tryTarget(ep) {
			return true
		}
	}
	if ep.rest != nil {
		found, err := ep.rest.find(x.r.Method, x.r.URL.EscapedPath(), x.r.URL.RawQuery, &x.match)
		if err == nil && found {
			x.endpoint, x.op = ep, x.match.op
			x.codec = restJSON{}
			if ep.speaks(RestXML) {
				x.codec = restXML{}
				x.w.Header()["x-amz-request-id"] = []string{string(x.id)} // where S3's clients look
			}
			return true
		}
	}
	if ep.speaks(Query) && x.queryFor(ep, named) {
		x.endpoint, x.codec = ep, awsQuery{}
		return true
	}
	return false
}

// queryFor tells whether a request is one of the query protocol for ep. Whatever
// reaches a service that speaks nothing else is; where nothing names the service, the
// version in the form does.
func (x *exchange) queryFor(ep *endpoint, named bool) bool {
	if !x.isQuery() {
		return named && len(ep.Protocols) == 1 && x.hints.target == ""
	}
	return named || len(x.server.all) == 1 || x.queryNames(ep)
}

func (x *exchange) tryTarget(ep *endpoint) bool {
	name := x.hints.target[strings.LastIndexByte(x.hints.target, '.')+1:]
	switch {
	case x.hints.rpc:
		if !ep.speaks(RPCv2CBOR) {
			return false
		}
		x.codec = rpcCBOR{}
	case x.r.Method == http.MethodPost && (ep.speaks(JSON10) || ep.speaks(JSON11)):
		x.codec = awsJSON{version: jsonVersion(x.r, ep)}
	default:
		return false
	}
	if op := ep.byName[name]; op != nil {
		x.endpoint, x.op = ep, op
		return true
	}
	return false
}

// jsonVersion answers in the version that was asked in; both are accepted.
func jsonVersion(r *http.Request, ep *endpoint) string {
	switch media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(media) {
	case "application/x-amz-json-1.0":
		return "1.0"
	case "application/x-amz-json-1.1":
		return "1.1"
	}
	if ep.speaks(JSON10) {
		return "1.0"
	}
	return "1.1"
}

const formType = "application/x-www-form-urlencoded"

// isQuery tells a request of the query protocol: a form, or an Action in the URL.
func (x *exchange) isQuery() bool {
	if x.r.Method == http.MethodPost {
		media, _, _ := strings.Cut(x.r.Header.Get("Content-Type"), ";")
		if strings.EqualFold(strings.TrimSpace(media), formType) {
			return true
		}
	}
	q, err := httpbind.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		return false
	}
	_, ok := q.Get("Action")
	return ok
}

// queryNames reports whether the form names this service's version and one of
// its operations. It reads the body.
func (x *exchange) queryNames(ep *endpoint) bool {
	form, err := x.readForm(ep)
	if err != nil {
		return false
	}
	version, _ := form.Get("Version")
	action, _ := form.Get("Action")
	return version == ep.APIVersion && ep.byName[action] != nil
}

// unknownOperation answers in the form of the protocol that the request speaks, or
// else that the services it names speak.
func (x *exchange) unknownOperation(named []*endpoint) error {
	status, code, message := http.StatusNotFound, "UnknownOperationException", ""
	if named == nil && x.hints.scope != "" {
		// AWS has a service for every scope, and no text for this.
		message = "lambdad has no service " + x.hints.scope + " with this operation."
	}
	switch {
	case x.hints.rpc:
		x.codec = rpcCBOR{}
	case x.hints.target != "":
		x.codec, status = awsJSON{version: "1.1"}, http.StatusBadRequest
		if strings.Contains(x.r.Header.Get("Content-Type"), "json-1.0") {
			x.codec = awsJSON{version: "1.0"}
		}
	case named != nil && (named[0].speaks(JSON10) || named[0].speaks(JSON11)):
		x.codec = awsJSON{version: jsonVersion(x.r, named[0])}
	case named != nil && named[0].speaks(RestXML):
		x.codec = restXML{}
	case named == nil && x.isQuery():
		x.codec, status, code = awsQuery{}, http.StatusBadRequest, "InvalidAction"
		action := ""
		if form, err := x.readForm(nil); err == nil {
			action, _ = form.Get("Action")
		}
		message = strings.TrimSuffix("Could not find operation "+action+". "+message, ". ")
	case x.hints.scope == "" && x.hints.host == "":
		// Nothing names a service: what AWS answers to anybody who just looks in.
		status, code, message = http.StatusForbidden, "MissingAuthenticationTokenException", "Missing Authentication Token"
	}
	return NewFault(status, code, "%s", message)
}
