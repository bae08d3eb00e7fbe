package wire

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
)

// Config is what a Server is made of.
type Config struct {
	Services      []*Service
	Authenticator Authenticator
	// Region is the region of requests that name none.
	Region aws.Region
	// Domains are our own domains: SERVICE.REGION.DOMAIN is an address of a
	// service, beside SERVICE.REGION.amazonaws.com.
	Domains []string
	// Internal, where set, serves paths under /_lambdad/ without authentication.
	Internal http.Handler
	// Log gets what clients must not see: errors that are no faults, and panics.
	Log *slog.Logger
}

// InternalPrefix is where Config.Internal is served. No AWS service has a path
// that begins so.
const InternalPrefix = "/_lambdad/"

// Server speaks the AWS protocols over HTTP. It implements http.Handler.
type Server struct {
	cfg      Config
	bySign   map[string][]*endpoint // by the service of a credential scope
	byTarget map[string]*endpoint
	byHost   map[string][]*endpoint
	all      []*endpoint
}

// endpoint is a service made ready to be found.
type endpoint struct {
	*Service
	rest   *router
	byName map[string]*Operation
}

// NewServer checks the services and builds their routes.
func NewServer(cfg Config) (*Server, error) {
	if cfg.Authenticator == nil {
		return nil, errors.New("wire: a server without an Authenticator would let everybody in")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, bySign: map[string][]*endpoint{}, byTarget: map[string]*endpoint{}, byHost: map[string][]*endpoint{}}
	for _, svc := range cfg.Services {
		ep := &endpoint{Service: svc, byName: map[string]*Operation{}}
		for i := range svc.Operations {
			op := &svc.Operations[i]
			if ep.byName[op.Name] != nil {
				return nil, fmt.Errorf("wire: %s has two operations called %s", svc.Name, op.Name)
			}
			ep.byName[op.Name] = op
		}
		if svc.speaks(RestJSON) || svc.speaks(RestXML) {
			var err error
			if ep.rest, err = newRouter(svc.Operations); err != nil {
				return nil, fmt.Errorf("wire: routes of %s: %w", svc.Name, err)
			}
		}
		s.all = append(s.all, ep)
		s.bySign[svc.SigningName] = append(s.bySign[svc.SigningName], ep)
		s.byHost[svc.EndpointName] = append(s.byHost[svc.EndpointName], ep)
		if svc.TargetPrefix != "" {
			if s.byTarget[svc.TargetPrefix] != nil {
				return nil, fmt.Errorf("wire: two services have the target %s", svc.TargetPrefix)
			}
			s.byTarget[svc.TargetPrefix] = ep
		}
	}
	return s, nil
}

func (s *Service) speaks(p Protocol) bool {
	for _, have := range s.Protocols {
		if have == p {
			return true
		}
	}
	return false
}

// ServeHTTP answers one request, in the form of the protocol that it came in,
// whatever happens.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := exchange{server: s, w: w, r: r, id: aws.NewRequestID(), received: time.Now(), codec: restJSON{}}
	// The raw key keeps AWS's spelling; clients do not care, people compare.
	w.Header()["x-amzn-RequestId"] = []string{string(x.id)}
	if s.cfg.Internal != nil && strings.HasPrefix(r.URL.Path, InternalPrefix) {
		s.cfg.Internal.ServeHTTP(w, r)
		return
	}
	defer x.doAfter() // also when what comes next panics
	defer x.recoverPanic()
	if err := x.serve(); err != nil {
		x.fail(err)
	}
}
