package iam

import (
	"strings"

	"github.com/lambdad/lambdad/internal/aws"
)

// A trust policy means the very users and roles that it named when it was written, not
// whoever is called so later. Source: User Guide, "AWS JSON policy elements:
// Principal" (AWS keeps the unique id, and shows it once its owner is deleted).

// Trust returns a role's trust policy as it stands today: principals that
// are gone stand in it with their unique id, which nobody else ever has.
func (a *Authority) Trust(r *Role) string {
	trust := r.Trust
	for arn, id := range r.TrustIDs {
		if a.dir.idOf(arn) != id {
			trust = strings.ReplaceAll(trust, `"`+arn+`"`, `"`+id+`"`)
		}
	}
	return trust
}

// Known reports whether a policy may name the principal of this ARN: a user or role that there is, a
// session of such a role, any account, and federated users, who are nowhere but in their sessions.
func (a *Authority) Known(arn string) bool {
	p, err := aws.ParseARN(arn)
	if err != nil {
		return false
	}
	return p.Resource == "root" || strings.HasPrefix(p.Resource, "federated-user/") || a.dir.idOf(arn) != ""
}

// idOf is the unique id of the user or role that an ARN names, of a session
// that of its role; "" is nobody's.
func (d *Directory) idOf(arn string) string {
	a, err := aws.ParseARN(arn)
	if err != nil {
		return ""
	}
	kind, path, _ := strings.Cut(a.Resource, "/")
	name := path[strings.LastIndexByte(path, '/')+1:]
	switch kind {
	case "user":
		if u := d.user(a.Account, name); u != nil && u.ARN() == arn {
			return u.ID
		}
	case "role":
		if r := d.role(a.Account, name); r != nil && r.arn == arn {
			return r.ID
		}
	case "assumed-role":
		role, _, _ := strings.Cut(path, "/")
		if r := d.role(a.Account, role); r != nil {
			return r.ID
		}
	}
	return ""
}
