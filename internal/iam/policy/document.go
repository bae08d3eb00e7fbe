package policy

// Versions of the policy language.
const (
	Version2008 = "2008-10-17"
	Version2012 = "2012-10-17" // policy variables exist from here on
)

// Effect is what a matching statement says.
type Effect uint8

const (
	// EffectAllow lets the request pass unless something denies it.
	EffectAllow Effect = iota + 1
	// EffectDeny wins over every allow.
	EffectDeny
)

// Document is a parsed and compiled policy. It is immutable.
type Document struct {
	Version    string // as written; "" means Version2008
	ID         string
	Statements []Statement
}

// Position is a place in a document's text; both start at 1.
type Position struct{ Line, Column int }

// Statement is one compiled statement.
type Statement struct {
	Sid    string
	Effect Effect
	// Start and End are the places of its braces in the text.
	Start, End Position

	actions      []pattern
	notActions   bool
	resources    []pattern
	notResources bool
	hasResource  bool
	principals   *principals
	conditions   []condition

	rawActions, rawResources []string
}

// Actions returns the Action or NotAction entries as written.
func (s *Statement) Actions() []string { return s.rawActions }

// Resources returns the Resource or NotResource entries as written.
func (s *Statement) Resources() []string { return s.rawResources }

// AWSPrincipals returns the entries under Principal.AWS as written.
func (s *Statement) AWSPrincipals() []string {
	if s.principals == nil {
		return nil
	}
	return s.principals.aws
}

// MalformedError says in AWS's words why a document is not a policy.
type MalformedError struct{ Message string }

func (e *MalformedError) Error() string { return e.Message }

func malformed(message string) error { return &MalformedError{Message: message} }

// The sentence for everything that AWS does not explain further.
const syntaxErrors = "Syntax errors in policy."
