package iam

import (
	"time"

	"github.com/lambdad/lambdad/internal/aws"
)

// partition of every ARN made here: lambdad stands for the standard partition.
const partition = "aws"

// DefaultAccount is the account that the first start makes, and that keys
// which name no account belong to under --auth=none.
const DefaultAccount aws.AccountID = "000000000000"

// Tag is a key with a value.
type Tag struct {
	Key   string `json:"k"`
	Value string `json:"v"`
}

// Entity is what users, roles, groups, policies and instance profiles share.
type Entity struct {
	Account aws.AccountID `json:"account"`
	Name    string        `json:"name"`
	Path    string        `json:"path"` // begins and ends with a slash
	ID      string        `json:"id"`
	Created time.Time     `json:"created"`
	Tags    []Tag         `json:"tags,omitempty"`
}

func (e *Entity) arn(kind string) string {
	return "arn:" + partition + ":iam::" + string(e.Account) + ":" + kind + e.Path + e.Name
}

// Grants are the policies of an identity.
type Grants struct {
	Attached []string          `json:"attached,omitempty"` // ARNs, oldest first
	Inline   map[string]string `json:"inline,omitempty"`   // document by name
}

// User is an IAM user.
type User struct {
	Entity
	Grants
	Boundary    string              `json:"boundary,omitempty"`
	Groups      []string            `json:"groups,omitempty"`
	AccessKeys  []string            `json:"accessKeys,omitempty"`
	Credentials []ServiceCredential `json:"credentials,omitempty"`
	Login       *LoginProfile       `json:"login,omitempty"`
}

// ARN names the user.
func (u *User) ARN() string { return u.arn("user") }

// ServiceCredential is a user name and password for one service.
type ServiceCredential struct {
	ID       string    `json:"id"`
	Service  string    `json:"service"`
	UserName string    `json:"userName"`
	Sealed   []byte    `json:"sealed"` // the password
	Active   bool      `json:"active"`
	Created  time.Time `json:"created"`
}

// LoginProfile is a user's password.
type LoginProfile struct {
	Created       time.Time `json:"created"`
	Changed       time.Time `json:"changed"` // when the password was set
	ResetRequired bool      `json:"resetRequired,omitempty"`
	Sealed        []byte    `json:"sealed"`
	Earlier       [][]byte  `json:"earlier,omitempty"` // sealed passwords of before, newest first
}

// Settings are what an account as a whole has.
type Settings struct {
	Alias     string          `json:"alias,omitempty"`
	Passwords *PasswordPolicy `json:"passwords,omitempty"` // nil: AWS's default
}

// PasswordPolicy is what an account demands of its users' passwords.
type PasswordPolicy struct {
	MinimumLength int32 `json:"minimumLength"`
	Symbols       bool  `json:"symbols,omitempty"`
	Numbers       bool  `json:"numbers,omitempty"`
	Uppercase     bool  `json:"uppercase,omitempty"`
	Lowercase     bool  `json:"lowercase,omitempty"`
	UsersChange   bool  `json:"usersChange,omitempty"`
	MaxAgeDays    int32 `json:"maxAgeDays,omitempty"`
	Reuse         int32 `json:"reuse,omitempty"` // how many earlier passwords may not come again
	HardExpiry    *bool `json:"hardExpiry,omitempty"`
}

// AliasClaim keeps an account's alias from all others.
type AliasClaim struct {
	Account aws.AccountID `json:"account"`
}

// Role is an IAM role.
type Role struct {
	Entity
	Grants
	Boundary          string `json:"boundary,omitempty"`
	Description       string `json:"description,omitempty"`
	MaxSessionSeconds int32  `json:"maxSessionSeconds"`
	Trust             string `json:"trust"` // the document, as given
	// TrustIDs are the unique ids of the users and roles that Trust names by their ARN,
	// as they were when it was written.
	TrustIDs map[string]string `json:"trustIds,omitempty"`
	Profiles []string          `json:"profiles,omitempty"`
	// LinkedService is the service that a service-linked role belongs to.
	LinkedService string `json:"linkedService,omitempty"`
}

// ARN names the role.
func (r *Role) ARN() string { return r.arn("role") }

// Group is an IAM group.
type Group struct {
	Entity
	Grants
	Members []string `json:"members,omitempty"`
}

// ARN names the group.
func (g *Group) ARN() string { return g.arn("group") }

// Policy is a customer-managed policy.
type Policy struct {
	Entity
	Description string          `json:"description,omitempty"`
	Updated     time.Time       `json:"updated"`
	Versions    []PolicyVersion `json:"versions"`
	Default     string          `json:"default"`
	// LastVersion is the highest number ever given out.
	LastVersion int `json:"lastVersion"`
	// Attachments and BoundaryUses are kept with the policy, so that deleting
	// it and attaching it exclude each other.
	Attachments  int32 `json:"attachments"`
	BoundaryUses int32 `json:"boundaryUses"`
}

// PolicyVersion is one document of a managed policy.
type PolicyVersion struct {
	ID       string    `json:"id"`
	Document string    `json:"document"`
	Created  time.Time `json:"created"`
}

// ARN names the policy.
func (p *Policy) ARN() string { return p.arn("policy") }

// Version returns the version with the id, or nil.
func (p *Policy) Version(id string) *PolicyVersion {
	for i := range p.Versions {
		if p.Versions[i].ID == id {
			return &p.Versions[i]
		}
	}
	return nil
}

// Profile is an instance profile.
type Profile struct {
	Entity
	Roles []string `json:"roles,omitempty"`
}

// ARN names the instance profile.
func (p *Profile) ARN() string { return p.arn("instance-profile") }

// AccessKey is a long-term key of a user, or of the account's root.
type AccessKey struct {
	ID      string        `json:"id"`
	Account aws.AccountID `json:"account"`
	User    string        `json:"user,omitempty"` // "" is the root
	UserID  string        `json:"userId,omitempty"`
	Sealed  []byte        `json:"sealed"` // the secret
	Active  bool          `json:"active"`
	Created time.Time     `json:"created"`
}

// Deletion is the outcome of deleting a service-linked role.
type Deletion struct {
	Account aws.AccountID `json:"account"`
	Task    string        `json:"task"`
	Role    string        `json:"role"`
	Done    time.Time     `json:"done"`
}
