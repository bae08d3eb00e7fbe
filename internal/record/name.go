package record

import (
	"errors"
	"fmt"
	"strings"

	"github.com/lambdad/lambdad/internal/aws"
)

// FunctionNameBytesMax is the longest function name. Source: Lambda API,
// CreateFunction, FunctionName ("64 characters in length").
const FunctionNameBytesMax = 64

// Kinds of refused names; match with errors.Is. The texts of a *NameError are
// those that AWS answers.
var (
	// ErrOtherRegion: the ARN names another region. ResourceNotFoundException.
	ErrOtherRegion = errors.New("record: function of another region")
	// ErrOtherAccount: the name carries another account. AccessDeniedException
	// unless a resource policy allows it.
	ErrOtherAccount = errors.New("record: function of another account")
	// ErrQualifierMismatch: the name carries one qualifier and the request
	// another. InvalidParameterValueException.
	ErrQualifierMismatch = errors.New("record: two qualifiers")
	// ErrBadName: no form of a function name. ValidationException.
	ErrBadName = errors.New("record: not a function name")
)

// NameError is a refused name: a kind and the text for the client.
type NameError struct {
	Kind error
	Text string
}

func (e *NameError) Error() string { return e.Text }

// Unwrap lets errors.Is find the kind.
func (e *NameError) Unwrap() error { return e.Kind }

// Name is a function as a request names it. Qualifier is "" when none was given.
type Name struct {
	ID        FunctionID
	Qualifier string
}

// ARN is the function's ARN with the qualifier if there is one.
func (n Name) ARN() string {
	if n.Qualifier == "" {
		return n.ID.ARN()
	}
	return n.ID.QualifiedARN(n.Qualifier)
}

// Scope is where a request acts: what a name leaves out is taken from here.
type Scope struct {
	Account aws.AccountID
	Region  aws.Region
}

// ParseName reads a function's name in each form that Lambda takes: NAME,
// ACCOUNT:function:NAME and the full ARN, each with an optional :QUALIFIER.
// For ErrOtherAccount the Name is returned too, so that a caller with a
// resource policy at hand can go on.
func ParseName(s string, scope Scope) (Name, error) {
	name := Name{ID: FunctionID{Account: scope.Account, Region: scope.Region}}
	rest := s
	if strings.HasPrefix(s, "arn:") {
		arn, err := aws.ParseARN(s)
		if err != nil || arn.Service != "lambda" || !strings.HasPrefix(arn.Partition, "aws") || !arn.Account.Valid() || !strings.HasPrefix(arn.Resource, "function:") {
			return Name{}, badName(s)
		}
		if arn.Region != scope.Region {
			return Name{}, &NameError{ErrOtherRegion, fmt.Sprintf("Functions from '%s' are not reachable in this region ('%s')", arn.Region, scope.Region)}
		}
		name.ID.Account = arn.Account
		rest = strings.TrimPrefix(arn.Resource, "function:")
	} else {
		// As in the model's pattern, a leading account and the word "function" are
		// taken for what they say only when more follows.
		if account, more, ok := strings.Cut(rest, ":"); ok && aws.AccountID(account).Valid() {
			name.ID.Account, rest = aws.AccountID(account), more
		}
		if word, more, ok := strings.Cut(rest, ":"); ok && word == "function" {
			rest = more
		}
	}
	name.ID.Name, name.Qualifier, _ = strings.Cut(rest, ":")
	if !validNamePart(name.ID.Name) || (strings.Contains(rest, ":") && !ValidQualifier(name.Qualifier)) {
		return Name{}, badName(s)
	}
	if name.ID.Account != scope.Account {
		return name, &NameError{ErrOtherAccount, fmt.Sprintf("the function %s is not in account %s", name.ARN(), scope.Account)}
	}
	return name, nil
}

// Qualify joins the qualifier inside a name with the one beside it. They must
// agree when both are given.
func (n Name) Qualify(qualifier string) (Name, error) {
	if qualifier == "" {
		return n, nil
	}
	if n.Qualifier != "" && n.Qualifier != qualifier {
		return Name{}, &NameError{ErrQualifierMismatch, "The derived qualifier from the function name does not match the specified qualifier."}
	}
	n.Qualifier = qualifier
	return n, nil
}

// ParseQualified is ParseName and Qualify in one step; likewise with ErrOtherAccount.
func ParseQualified(name, qualifier string, scope Scope) (Name, error) {
	n, err := ParseName(name, scope)
	if err != nil && !errors.Is(err, ErrOtherAccount) {
		return n, err
	}
	n, mismatch := n.Qualify(qualifier)
	if mismatch != nil {
		return n, mismatch
	}
	return n, err
}

// ValidQualifier reports whether s can be a version or an alias.
func ValidQualifier(s string) bool {
	return s == Latest || s == LatestPublished || (validNamePart(s) && !strings.Contains(s, "."))
}

// validNamePart holds the characters of the model's NamespacedFunctionName. A dot is in the
// model's pattern and in no name that CreateFunction takes.
func validNamePart(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}

func badName(s string) *NameError {
	return &NameError{ErrBadName, fmt.Sprintf("1 validation error detected: Value '%s' at 'functionName' failed to satisfy constraint: "+
		`Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?`, s)}
}
