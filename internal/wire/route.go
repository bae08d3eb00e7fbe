package wire

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/lambdad/lambdad/internal/wire/httpbind"
)

// labelsMax bounds the labels of a route. The models have at most 6.
const labelsMax = 8

// router finds the operation of a REST service by method and raw path. It is
// built once and then only read.
type router struct{ root node }

// node is a place between two segments of a path.
type node struct {
	literal map[string]*node
	label   *node
	routes  []route // that end here
	greedy  []route // that take all that follows
}

type route struct {
	op     *Operation
	method string
	labels []string // names in order; a greedy one is followed by literals after
	after  []string // literal segments after a greedy label
	query  []httpbind.Pair
	bare   []string // query names that must be present, with any value
}

// newRouter reads the URIs of a service's operations.
func newRouter(ops []Operation) (*router, error) {
	rt := new(router)
	for i := range ops {
		if err := rt.add(&ops[i]); err != nil {
			return nil, fmt.Errorf("operation %s: %w", ops[i].Name, err)
		}
	}
	return rt, nil
}

func (rt *router) add(op *Operation) error {
	path, query, _ := strings.Cut(op.URI, "?")
	r := route{op: op, method: op.Method}
	for _, part := range strings.Split(query, "&") {
		if name, value, valued := strings.Cut(part, "="); valued {
			r.query = append(r.query, httpbind.Pair{Key: name, Value: value})
		} else if name != "" {
			r.bare = append(r.bare, name)
		}
	}
	at := &rt.root
	segments := splitPath(path)
	for i, segment := range segments {
		name, isLabel := strings.CutPrefix(segment, "{")
		if !isLabel {
			if at.literal == nil {
				at.literal = map[string]*node{}
			}
			next := at.literal[segment]
			if next == nil {
				next = new(node)
				at.literal[segment] = next
			}
			at = next
			continue
		}
		name = strings.TrimSuffix(name, "}")
		if len(r.labels) == labelsMax {
			return fmt.Errorf("more than %d labels in %s", labelsMax, op.URI)
		}
		if name, isGreedy := strings.CutSuffix(name, "+"); isGreedy {
			r.labels = append(r.labels, name)
			r.after = segments[i+1:]
			at.greedy = append(at.greedy, r)
			return nil
		}
		r.labels = append(r.labels, name)
		if at.label == nil {
			at.label = new(node)
		}
		at = at.label
	}
	at.routes = append(at.routes, r)
	return nil
}

// splitPath splits without the empty segments at both ends: services answer on
// /functions and /functions/ alike.
func splitPath(path string) []string {
	path = strings.Trim(path, "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// match is a route found, with the values of its labels.
type match struct {
	op     *Operation
	labels [labelsMax]httpbind.Label
	n      int
}

func (m *match) Labels() []httpbind.Label { return m.labels[:m.n] }

// find matches a request. The path is raw: each segment is unescaped by itself,
// because an ARN in a label carries escaped slashes.
func (rt *router) find(method, rawPath, rawQuery string, m *match) (bool, error) {
	s := search{method: method, query: rawQuery, m: m}
	path := strings.TrimPrefix(rawPath, "/")
	r := s.walk(&rt.root, path, 0)
	if r == nil {
		path = strings.TrimSuffix(path, "/")
		if r = s.walk(&rt.root, path, 0); r == nil {
			return false, s.err
		}
	}
	m.op = r.op
	m.n = len(r.labels)
	for i := range r.labels {
		value, err := url.PathUnescape(s.raw[i])
		if err != nil {
			return false, fmt.Errorf("bad escape in the path: %w", err)
		}
		m.labels[i] = httpbind.Label{Name: r.labels[i], Value: value}
	}
	return true, nil
}

type search struct {
	method string
	query  string
	parsed httpbind.Query
	raw    [labelsMax]string
	m      *match
	err    error
}

// walk prefers literals to labels and labels to greedy labels.
func (s *search) walk(at *node, path string, labels int) *route {
	if path == "" {
		if r := s.pick(at.routes); r != nil {
			return r
		}
		return nil
	}
	segment, rest, _ := strings.Cut(path, "/")
	if next := at.literal[segment]; next != nil {
		if r := s.walk(next, rest, labels); r != nil {
			return r
		}
	}
	if at.label != nil && segment != "" && labels < labelsMax {
		s.raw[labels] = segment
		if r := s.walk(at.label, rest, labels+1); r != nil {
			return r
		}
	}
	return s.pickGreedy(at.greedy, path, labels)
}

func (s *search) pickGreedy(routes []route, path string, labels int) *route {
	var best *route
	for i := range routes {
		r := &routes[i]
		taken := path
		if len(r.after) > 0 {
			var ok bool
			if taken, ok = strings.CutSuffix(path, "/"+strings.Join(r.after, "/")); !ok || taken == "" {
				continue
			}
		}
		if labels >= labelsMax || !s.accepts(r) || best != nil && !moreSpecific(r, best) {
			continue
		}
		best = r
		s.raw[labels] = taken
	}
	return best
}

// pick chooses by method and query; more demands win.
func (s *search) pick(routes []route) *route {
	var best *route
	for i := range routes {
		if r := &routes[i]; s.accepts(r) && (best == nil || moreSpecific(r, best)) {
			best = r
		}
	}
	return best
}

func moreSpecific(a, b *route) bool {
	return len(a.after)+len(a.query)+len(a.bare) > len(b.after)+len(b.query)+len(b.bare)
}

func (s *search) accepts(r *route) bool {
	if r.method != s.method {
		return false
	}
	if len(r.query) == 0 && len(r.bare) == 0 {
		return true
	}
	if s.parsed == nil {
		if s.parsed, s.err = httpbind.ParseQuery(s.query); s.err != nil {
			return false
		}
	}
	for _, p := range r.query {
		if v, ok := s.parsed.Get(p.Key); !ok || v != p.Value {
			return false
		}
	}
	for _, name := range r.bare {
		if _, ok := s.parsed.Get(name); !ok {
			return false
		}
	}
	return true
}
