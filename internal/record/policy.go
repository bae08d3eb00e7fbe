package record

// Policy is the resource-based policy of a function, a version or an alias. Its key is the
// function with Latest for the function itself.
type Policy struct {
	// Document is the policy as GetPolicy shows it.
	Document   string `json:"doc"`
	RevisionID string `json:"rev"`
}

// Policies are kept in this form.
var Policies = QualifiedKind[Policy]("policy", 1)

// PolicyKey is where the policy lies that bears on what a name names.
func (n Name) PolicyKey() Qualified {
	if n.Qualifier == "" {
		return Qualified{n.ID, Latest}
	}
	return Qualified{n.ID, n.Qualifier}
}
