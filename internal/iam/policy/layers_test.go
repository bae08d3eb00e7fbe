package policy

import (
	"testing"

	"github.com/lambdad/lambdad/internal/aws"
)

// TestLayers is how the sets of policies meet.
func TestLayers(t *testing.T) {
	const here, there = aws.AccountID("000000000000"), aws.AccountID("111111111111")
	all := `{"Effect":"Allow","Action":"*","Resource":"*"}`
	none := `{"Effect":"Allow","Action":"no:thing","Resource":"*"}`
	deny := `{"Effect":"Deny","Action":"*","Resource":"*"}`
	to := func(principal string) string {
		return `{"Effect":"Allow","Action":"*","Resource":"*","Principal":` + principal + `}`
	}
	aws1 := func(entry string) string { return to(`{"AWS":"` + entry + `"}`) }
	session := Principal{Type: aws.PrincipalAssumedRole, Account: here,
		ARN: "arn:aws:sts::000000000000:assumed-role/r/s", RoleARN: "arn:aws:iam::000000000000:role/p/r"}
	root := Principal{Type: aws.PrincipalRoot, Account: here, ARN: "arn:aws:iam::000000000000:root"}
	service := Principal{Type: aws.PrincipalService, ARN: "apigateway.amazonaws.com"}
	anonymous := Principal{Type: aws.PrincipalAnonymous}

	tests := []struct {
		name                                  string
		who                                   Principal
		owner                                 aws.AccountID
		identity, boundary, session, resource string // "" is: no such layer
		required                              bool
		want                                  Decision
	}{
		{"identity", alice, here, all, "", "", "", false, Decision{Allowed, 0}},
		{"no identity", alice, here, none, "", "", "", false, Decision{ImplicitDeny, LayerIdentity}},
		{"identity denies", alice, here, deny, "", "", "", false, Decision{ExplicitDeny, LayerIdentity}},
		{"inside the boundary", alice, here, all, all, "", "", false, Decision{Allowed, 0}},
		{"outside the boundary", alice, here, all, none, "", "", false, Decision{ImplicitDeny, LayerBoundary}},
		{"a boundary grants nothing", alice, here, none, all, "", "", false, Decision{ImplicitDeny, LayerIdentity}},
		{"boundary denies", alice, here, all, deny, "", "", false, Decision{ExplicitDeny, LayerBoundary}},
		{"inside the session policy", session, here, all, "", all, "", false, Decision{Allowed, 0}},
		{"outside the session policy", session, here, all, "", none, "", false, Decision{ImplicitDeny, LayerSession}},
		{"a session policy grants nothing", session, here, none, "", all, "", false, Decision{ImplicitDeny, LayerIdentity}},
		{"session denies", session, here, all, "", deny, "", false, Decision{ExplicitDeny, LayerSession}},
		{"all three", session, here, all, all, all, "", false, Decision{Allowed, 0}},
		{"boundary named before session", session, here, all, none, none, "", false, Decision{ImplicitDeny, LayerBoundary}},

		{"resource names the user", alice, here, none, "", "", aws1(alice.ARN), false, Decision{Allowed, 0}},
		{"resource names the user, past the boundary", alice, here, none, none, "", aws1(alice.ARN), false, Decision{Allowed, 0}},
		{"resource names another user", alice, here, none, "", "", aws1("arn:aws:iam::000000000000:user/bob"), false, Decision{ImplicitDeny, LayerIdentity}},
		{"resource names the account", alice, here, none, "", "", aws1(string(here)), false, Decision{ImplicitDeny, LayerIdentity}},
		{"resource names the account, identity too", alice, here, all, "", "", aws1(string(here)), false, Decision{Allowed, 0}},
		{"resource names everyone", alice, here, none, "", "", to(`"*"`), false, Decision{Allowed, 0}},
		{"resource names every AWS", alice, here, none, "", "", aws1("*"), false, Decision{Allowed, 0}},
		{"resource denies", alice, here, all, "", "", `{"Effect":"Deny","Action":"*","Resource":"*","Principal":"*"}`, false, Decision{ExplicitDeny, LayerResource}},
		{"resource denies the account", alice, here, all, "", "", `{"Effect":"Deny","Action":"*","Resource":"*","Principal":{"AWS":"000000000000"}}`, false, Decision{ExplicitDeny, LayerResource}},
		{"identity denies what the resource allows", alice, here, deny, "", "", aws1(alice.ARN), false, Decision{ExplicitDeny, LayerIdentity}},
		{"resource names the role", session, here, none, "", "", aws1(session.RoleARN), false, Decision{Allowed, 0}},
		{"resource names the role, outside the boundary", session, here, none, none, "", aws1(session.RoleARN), false, Decision{ImplicitDeny, LayerBoundary}},
		{"resource names the role, outside the session policy", session, here, none, "", none, aws1(session.RoleARN), false, Decision{ImplicitDeny, LayerSession}},
		{"resource names the session, past its policy", session, here, none, none, none, aws1(session.ARN), false, Decision{Allowed, 0}},
		{"resource names everyone, session stays bounded", session, here, none, "", none, to(`"*"`), false, Decision{ImplicitDeny, LayerSession}},
		{"not principal spares", alice, here, all, "", "", `{"Effect":"Deny","Action":"*","Resource":"*","NotPrincipal":{"AWS":["arn:aws:iam::000000000000:user/alice","arn:aws:iam::000000000000:root"]}}`, false, Decision{Allowed, 0}},
		{"not principal of the account hits its user", alice, here, all, "", "", `{"Effect":"Deny","Action":"*","Resource":"*","NotPrincipal":{"AWS":["arn:aws:iam::000000000000:user/bob","arn:aws:iam::000000000000:root"]}}`, false, Decision{ExplicitDeny, LayerResource}},
		{"not principal of the account hits by its number", alice, here, all, "", "", `{"Effect":"Deny","Action":"*","Resource":"*","NotPrincipal":{"AWS":"000000000000"}}`, false, Decision{ExplicitDeny, LayerResource}},
		{"not principal of the account spares its root", root, here, all, "", "", `{"Effect":"Deny","Action":"*","Resource":"*","NotPrincipal":{"AWS":"000000000000"}}`, false, Decision{Allowed, 0}},
		{"not principal of the role spares its session", session, here, all, "", "", `{"Effect":"Deny","Action":"*","Resource":"*","NotPrincipal":{"AWS":["` + session.RoleARN + `","000000000000"]}}`, false, Decision{Allowed, 0}},
		{"not principal allows nobody of the account", alice, here, none, "", "", `{"Effect":"Allow","Action":"*","Resource":"*","NotPrincipal":{"AWS":"000000000000"}}`, false, Decision{ImplicitDeny, LayerIdentity}},
		{"not principal hits", session, here, all, "", "", `{"Effect":"Deny","Action":"*","Resource":"*","NotPrincipal":{"AWS":"arn:aws:iam::000000000000:user/alice"}}`, false, Decision{ExplicitDeny, LayerResource}},

		{"across, neither", alice, there, none, "", "", "", false, Decision{ImplicitDeny, LayerIdentity}},
		{"across, identity alone", alice, there, all, "", "", "", false, Decision{ImplicitDeny, LayerResource}},
		{"across, resource alone", alice, there, none, "", "", aws1(alice.ARN), false, Decision{ImplicitDeny, LayerIdentity}},
		{"across, both", alice, there, all, "", "", aws1(alice.ARN), false, Decision{Allowed, 0}},
		{"across, both by account", alice, there, all, "", "", aws1("arn:aws:iam::000000000000:root"), false, Decision{Allowed, 0}},
		{"across, another account", alice, there, all, "", "", aws1("222222222222"), false, Decision{ImplicitDeny, LayerResource}},
		{"across, outside the boundary", alice, there, all, none, "", aws1(alice.ARN), false, Decision{ImplicitDeny, LayerBoundary}},

		{"trust names the user", alice, here, none, "", "", aws1(alice.ARN), true, Decision{Allowed, 0}},
		{"trust names the account, nothing else", alice, here, none, "", "", aws1(string(here)), true, Decision{ImplicitDeny, LayerIdentity}},
		{"trust names the account and identity allows", alice, here, all, "", "", aws1(string(here)), true, Decision{Allowed, 0}},
		{"trust names nobody here", alice, here, all, "", "", aws1(string(there)), true, Decision{ImplicitDeny, LayerResource}},
		{"trust names a service only", alice, here, all, "", "", to(`{"Service":"lambda.amazonaws.com"}`), true, Decision{ImplicitDeny, LayerResource}},
		{"trust and root", root, here, none, "", "", aws1(string(here)), true, Decision{Allowed, 0}},

		{"service allowed", service, here, "", "", "", to(`{"Service":"apigateway.amazonaws.com"}`), false, Decision{Allowed, 0}},
		{"other service", service, here, "", "", "", to(`{"Service":"events.amazonaws.com"}`), false, Decision{ImplicitDeny, LayerResource}},
		{"service by star", service, here, "", "", "", to(`"*"`), false, Decision{Allowed, 0}},
		{"service is not an account", service, here, "", "", "", aws1(string(here)), false, Decision{ImplicitDeny, LayerResource}},
		{"anonymous by star", anonymous, here, "", "", "", to(`"*"`), false, Decision{Allowed, 0}},
		{"anonymous otherwise", anonymous, here, "", "", "", aws1(string(here)), false, Decision{ImplicitDeny, LayerResource}},
	}
	source := func(s string) []Source {
		if s == "" {
			return nil
		}
		return []Source{{"p", mustParse(t, `{"Version":"2012-10-17","Statement":`+s+`}`)}}
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := Evaluate(&Request{Principal: test.who, Action: "a:b", Resource: "*", ResourceAccount: test.owner}, &Policies{
				Identity: source(test.identity), Boundary: source(test.boundary), HasBoundary: test.boundary != "",
				Session: source(test.session), HasSession: test.session != "", Resource: source(test.resource), ResourceRequired: test.required,
			})
			if got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
