package policy

import (
	"strings"

	"github.com/lambdad/lambdad/internal/aws"
)

// Kind is what a document is used for; each has rules of its own.
type Kind uint8

const (
	// KindManaged is a customer-managed policy.
	KindManaged Kind = iota
	// KindInline is an inline policy of a user, role or group.
	KindInline
	// KindSession is a policy passed to AssumeRole or GetFederationToken.
	KindSession
	// KindTrust is a role's trust policy.
	KindTrust
	// KindResource is a policy on a resource, e.g. a function's.
	KindResource
)

// ParseFor parses a document and checks it for its use. The error is a
// *MalformedError in the words that IAM answers.
func ParseFor(kind Kind, text string) (*Document, error) {
	d, err := Parse(text)
	if err != nil {
		if kind == KindTrust && !jsonObject(text) {
			return nil, malformed("This policy contains invalid Json")
		}
		return nil, err
	}
	return d, d.Validate(kind)
}

func jsonObject(text string) bool {
	n, err := readTree(text)
	return err == nil && n.kind == nodeObject
}

// Validate checks a parsed document for its use.
func (d *Document) Validate(kind Kind) error {
	if kind == KindManaged && d.Version != Version2012 {
		return malformed("Policy document must be version 2012-10-17 or greater.")
	}
	if len(d.Statements) == 0 {
		if kind == KindTrust {
			return malformed("Statement cannot be empty!")
		}
		return malformed(syntaxErrors)
	}
	sids := map[string]bool{}
	for i := range d.Statements {
		s := &d.Statements[i]
		if s.Sid != "" {
			if kind != KindResource && !alphanumeric(s.Sid) {
				return malformed("Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*")
			}
			if sids[s.Sid] {
				return malformed("Statement IDs (SID) in a single policy must be unique.")
			}
			sids[s.Sid] = true
		}
		var err error
		switch kind {
		case KindTrust:
			err = s.validateTrust()
		case KindResource:
			err = s.validateResourcePolicy()
		default:
			err = s.validateIdentity()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Statement) validateIdentity() error {
	if s.principals != nil {
		return malformed("Policy document should not specify a principal.")
	}
	if len(s.actions) == 0 {
		return malformed("Policy statement must contain actions.")
	}
	if len(s.resources) == 0 {
		return malformed("Policy statement must contain resources.")
	}
	if err := s.validateActions(); err != nil {
		return err
	}
	for _, r := range s.rawResources {
		if err := validateResource(r); err != nil {
			return err
		}
	}
	return s.validateConditionKeys()
}

func (s *Statement) validateTrust() error {
	switch {
	case s.hasResource:
		return malformed("Has prohibited field Resource")
	case len(s.actions) == 0:
		return malformed("Missing required field Action")
	case s.principals == nil:
		return malformed("Missing required field Principal")
	case s.principals.not: // IAM user guide, "IAM JSON policy elements: NotPrincipal"
		return malformed("Has prohibited field NotPrincipal")
	}
	for _, a := range s.rawActions {
		if a != "*" && !strings.HasPrefix(strings.ToLower(a), "sts:") {
			return malformed("AssumeRole policy may only specify STS AssumeRole actions.")
		}
	}
	if err := s.principals.validate(); err != nil {
		return err
	}
	return s.validateConditionKeys()
}

func (s *Statement) validateResourcePolicy() error {
	switch {
	case s.principals == nil:
		return malformed("Missing required field Principal")
	case len(s.actions) == 0:
		return malformed("Missing required field Action")
	}
	if err := s.validateActions(); err != nil {
		return err
	}
	if err := s.principals.validate(); err != nil {
		return err
	}
	return s.validateConditionKeys()
}

const vendorSentence = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."

func (s *Statement) validateActions() error {
	for _, a := range s.rawActions {
		if a == "*" {
			continue
		}
		vendor, name, ok := strings.Cut(a, ":")
		if !ok {
			return malformed(vendorSentence)
		}
		if !vendorName(vendor) {
			return malformed("Vendor " + vendor + " is not valid")
		}
		if name == "" || strings.ContainsAny(name, ": ") {
			return malformed("Actions/Condition can contain only one colon.")
		}
	}
	return nil
}

func (s *Statement) validateConditionKeys() error {
	for i := range s.conditions {
		if vendor, name, ok := strings.Cut(s.conditions[i].key, ":"); !ok || vendor == "" || name == "" {
			return malformed(vendorSentence)
		}
	}
	return nil
}

func validateResource(r string) error {
	if r == "*" {
		return nil
	}
	parts := strings.SplitN(r, ":", 6)
	if parts[0] != "arn" || len(parts) < 3 {
		return malformed("Resource " + r + " must be in ARN format or \"*\".")
	}
	switch parts[1] {
	case "aws", "aws-cn", "aws-us-gov", "*", "aws-iso", "aws-iso-b", "aws-eusc":
	default:
		return malformed("Partition \"" + parts[1] + "\" is not valid for resource \"" + r + "\".")
	}
	if strings.ContainsAny(parts[2], "*?") {
		return malformed("Resource vendor must be fully qualified and cannot contain regexes.")
	}
	if !vendorName(parts[2]) {
		return malformed("The policy failed legacy parsing")
	}
	if len(parts) > 3 && (parts[2] == "iam" || parts[2] == "s3") && parts[3] != "" && parts[3] != "*" {
		if parts[2] == "iam" {
			return malformed("IAM resource " + r + " cannot contain region information.")
		}
		return malformed("Resource " + r + " can not contain region information.")
	}
	return nil
}

func (p *principals) validate() error {
	for _, entry := range p.aws {
		if !validAWSPrincipal(entry) {
			return malformed("Invalid principal in policy: \"AWS\":\"" + entry + "\"")
		}
	}
	for _, entry := range p.service {
		if !validServiceName(entry) {
			return malformed("Invalid principal in policy: \"SERVICE\":\"" + entry + "\"")
		}
	}
	for _, entry := range p.federated {
		if entry == "" {
			return malformed("Invalid principal in policy: \"FEDERATED\":\"\"")
		}
	}
	return nil
}

func validAWSPrincipal(s string) bool {
	if s == "*" || aws.AccountID(s).Valid() || uniqueID(s) {
		return true
	}
	arn, err := aws.ParseARN(s)
	if err != nil || !arn.Account.Valid() || arn.Region != "" {
		return false
	}
	kind, name, _ := strings.Cut(arn.Resource, "/")
	switch arn.Service {
	case "iam":
		return arn.Resource == "root" || (kind == "user" || kind == "role") && name != "" && !strings.ContainsAny(name, "*?")
	case "sts":
		return (kind == "assumed-role" || kind == "federated-user") && name != "" && !strings.ContainsAny(name, "*?")
	}
	return false
}

// uniqueID: AWS stores the unique id of a principal that was deleted.
func uniqueID(s string) bool {
	return len(s) >= 16 && (strings.HasPrefix(s, "AIDA") || strings.HasPrefix(s, "AROA")) && alphanumeric(s)
}

func vendorName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_') {
			return false
		}
	}
	return s != ""
}

func alphanumeric(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') {
			return false
		}
	}
	return true
}
