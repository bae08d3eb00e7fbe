package policy

import (
	"slices"

	"github.com/lambdad/lambdad/internal/aws"
)

// Request is what is to be decided.
type Request struct {
	Principal Principal
	Action    string // e.g. "lambda:InvokeFunction"
	Resource  string // an ARN, or "*" where the action knows no resource
	// ResourceAccount owns the resource; "" means the principal's own account.
	ResourceAccount aws.AccountID
	Context         Context
}

// Source is a document with the name a decision refers to it by.
type Source struct {
	Name     string
	Document *Document
}

// Policies are all policies that apply to a request, by layer.
type Policies struct {
	Identity []Source
	// Boundary bounds the identity policies when HasBoundary.
	Boundary    []Source
	HasBoundary bool
	// Session policies bound a session when HasSession.
	Session    []Source
	HasSession bool
	Resource   []Source
	// ResourceRequired: without a grant of the resource policy nothing is
	// allowed, not even within the account (a role's trust policy).
	ResourceRequired bool
}

// Layer names a set of policies.
type Layer uint8

const (
	LayerNone Layer = iota
	LayerIdentity
	LayerBoundary
	LayerSession
	LayerResource
)

// Outcome is allowed or one of two refusals.
type Outcome uint8

const (
	// ImplicitDeny: nothing allows it.
	ImplicitDeny Outcome = iota
	// ExplicitDeny: a statement denies it.
	ExplicitDeny
	// Allowed: something allows it and nothing denies it.
	Allowed
)

// Decision is an outcome and the layer that is responsible for a refusal.
type Decision struct {
	Outcome Outcome
	Layer   Layer
}

// Match is a statement that applied to a request.
type Match struct {
	Layer     Layer
	Source    string
	Statement *Statement
}

// Evaluate decides. It follows "Policy evaluation logic" of the IAM user guide:
// a deny in any layer wins; within an account either the identity policies
// inside their bounds or the resource policy may allow; between accounts both
// must.
func Evaluate(req *Request, pol *Policies) Decision { return evaluate(req, pol, nil) }

// Explain is Evaluate that also returns the statements that applied.
func Explain(req *Request, pol *Policies) (Decision, []Match) {
	var matches []Match
	d := evaluate(req, pol, &matches)
	return d, matches
}

func evaluate(req *Request, pol *Policies, matches *[]Match) Decision {
	identity := layerEffect(LayerIdentity, pol.Identity, req, matches)
	boundary := layerEffect(LayerBoundary, pol.Boundary, req, matches)
	session := layerEffect(LayerSession, pol.Session, req, matches)
	resource := layerEffect(LayerResource, pol.Resource, req, matches)

	switch {
	case identity.denied:
		return Decision{ExplicitDeny, LayerIdentity}
	case resource.denied:
		return Decision{ExplicitDeny, LayerResource}
	case pol.HasBoundary && boundary.denied:
		return Decision{ExplicitDeny, LayerBoundary}
	case pol.HasSession && session.denied:
		return Decision{ExplicitDeny, LayerSession}
	}

	bounds := func() Decision {
		switch {
		case pol.HasBoundary && boundary.grant == grantNone:
			return Decision{ImplicitDeny, LayerBoundary}
		case pol.HasSession && session.grant == grantNone:
			return Decision{ImplicitDeny, LayerSession}
		}
		return Decision{Allowed, LayerNone}
	}
	byIdentity := func() Decision {
		if identity.grant == grantNone {
			return Decision{ImplicitDeny, LayerIdentity}
		}
		return bounds()
	}
	who := &req.Principal
	if who.Type == aws.PrincipalService || who.Type == aws.PrincipalAnonymous || who.Provider != "" {
		if resource.grant == grantNone {
			return Decision{ImplicitDeny, LayerResource}
		}
		return Decision{Allowed, LayerNone}
	}
	if pol.ResourceRequired && resource.grant == grantNone {
		return Decision{ImplicitDeny, LayerResource}
	}
	if req.ResourceAccount != "" && req.ResourceAccount != who.Account {
		if d := byIdentity(); d.Outcome != Allowed {
			return d
		}
		if resource.grant == grantNone {
			return Decision{ImplicitDeny, LayerResource}
		}
		return Decision{Allowed, LayerNone}
	}
	switch resource.grant {
	case grantDirect:
		return Decision{Allowed, LayerNone}
	case grantRole:
		return bounds()
	default:
		return byIdentity()
	}
}

// effect is what one layer says: the most direct allow, and whether it denies.
type effect struct {
	grant  grant
	denied bool
}

func layerEffect(layer Layer, sources []Source, req *Request, matches *[]Match) effect {
	var e effect
	for _, src := range sources {
		if src.Document == nil {
			continue
		}
		for i := range src.Document.Statements {
			s := &src.Document.Statements[i]
			if e.denied && matches == nil {
				return e
			}
			g := s.applies(req, layer == LayerResource)
			if g == grantNone {
				continue
			}
			if matches != nil {
				*matches = append(*matches, Match{layer, src.Name, s})
			}
			if s.Effect == EffectDeny {
				e.denied = true
			} else {
				e.grant = max(e.grant, g)
			}
		}
	}
	return e
}

// applies reports whether, and how directly, a statement speaks of a request.
func (s *Statement) applies(req *Request, needPrincipal bool) grant {
	g := grantDirect
	if needPrincipal {
		if s.principals == nil {
			return grantNone
		}
		if g = s.principals.match(&req.Principal, s.Effect); g == grantNone {
			return grantNone
		}
	}
	if anyMatch(s.actions, req.Action, nil) == s.notActions {
		return grantNone
	}
	// A trust policy has no Resource: it speaks of the role it belongs to.
	if s.hasResource && anyMatch(s.resources, req.Resource, req.Context) == s.notResources {
		return grantNone
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(req.Context) {
			return grantNone
		}
	}
	return g
}

func anyMatch(patterns []pattern, s string, ctx Context) bool {
	for i := range patterns {
		if patterns[i].match(s, ctx) {
			return true
		}
	}
	return false
}

// MissingKeys returns the condition keys that the statements for an action on
// a resource ask for and the context does not hold, in their order.
func (d *Document) MissingKeys(req *Request) []string {
	var out []string
	for i := range d.Statements {
		s := &d.Statements[i]
		if anyMatch(s.actions, req.Action, nil) == s.notActions {
			continue
		}
		if s.hasResource && anyMatch(s.resources, req.Resource, req.Context) == s.notResources {
			continue
		}
		for _, c := range s.conditions {
			if _, ok := lookup(req.Context, c.key); !ok && !slices.Contains(out, c.name) {
				out = append(out, c.name)
			}
		}
	}
	return out
}
