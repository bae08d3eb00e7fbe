package iam

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/mem"
	"github.com/lambdad/lambdad/internal/wire"
	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

// testFunction is whose credentials the tests issue.
const testFunction = "arn:aws:lambda:us-east-1:000000000000:function:f"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that only the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)} }

func open(t testing.TB, s store.Store, c *clock, mode Mode) *Authority {
	t.Helper()
	a, err := Open(context.Background(), Options{Records: s, Mode: mode, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func openNew(t testing.TB) (*Authority, *clock) {
	s := mem.New()
	t.Cleanup(func() { s.Close() })
	c := newClock()
	return open(t, s, c, ModeSigV4), c
}

func bootstrap(t testing.TB, a *Authority) sigv4.Credentials {
	t.Helper()
	cred, created, err := a.Bootstrap(context.Background())
	if err != nil || !created {
		t.Fatal(created, err)
	}
	return cred
}

// write stores records as they are.
func write(t testing.TB, a *Authority, values map[string]any) {
	t.Helper()
	err := a.Table().Retry(context.Background(), func(context.Context) ([]store.Write, error) {
		var out []store.Write
		for key, v := range values {
			if v == nil {
				out = append(out, Drop(key, store.Unconditional()))
				continue
			}
			w, err := Put(key, v, store.Unconditional())
			if err != nil {
				return nil, err
			}
			out = append(out, w)
		}
		return out, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func addUser(t testing.TB, a *Authority, name string, change func(*User)) (*User, sigv4.Credentials) {
	t.Helper()
	u := &User{Entity: Entity{Account: DefaultAccount, Name: name, Path: "/", ID: NewUniqueID(PrefixUser)}}
	if change != nil {
		change(u)
	}
	k, secret := a.NewAccessKey(u)
	u.AccessKeys = []string{k.ID}
	write(t, a, map[string]any{Key(KindUser, DefaultAccount, name): u, AccessKeyKey(k.ID): &k})
	return u, sigv4.Credentials{AccessKeyID: k.ID, SecretAccessKey: secret}
}

const trustLambda = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}}`

func addRole(t testing.TB, a *Authority, name string, change func(*Role)) *Role {
	t.Helper()
	r := &Role{Entity: Entity{Account: DefaultAccount, Name: name, Path: "/", ID: NewUniqueID(PrefixRole)}, Trust: trustLambda, MaxSessionSeconds: 3600}
	if change != nil {
		change(r)
	}
	write(t, a, map[string]any{Key(KindRole, DefaultAccount, name): r})
	return r
}

func signed(service string, cred sigv4.Credentials, now time.Time, body string) *http.Request {
	r, _ := http.NewRequest("POST", "http://127.0.0.1:4566/2015-03-31/functions/f/invocations", strings.NewReader(body))
	sigv4.Sign(r, cred, sigv4.SignOptions{Region: "eu-west-1", Service: service, Time: now, PayloadHash: sigv4.HashPayload([]byte(body))})
	return r
}

func call(id wire.Identity, service string) *wire.Call {
	return &wire.Call{Service: service, Account: id.Principal.Account, Region: id.Region, Principal: id.Principal, AccessKeyID: id.AccessKeyID,
		SessionContext: id.SessionContext, SourceIP: netip.MustParseAddr("127.0.0.1"), UserAgent: "test/1", Received: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
}

func authenticate(t testing.TB, a *Authority, cred sigv4.Credentials, service string) *wire.Call {
	t.Helper()
	id, err := a.Authenticate(signed(service, cred, a.Now(), "{}"), []byte("{}"), service, wire.RestJSON)
	if err != nil {
		t.Fatal(err)
	}
	return call(id, service)
}

func TestBootstrap(t *testing.T) {
	s := mem.New()
	t.Cleanup(func() { s.Close() })
	c := newClock()
	a := open(t, s, c, ModeSigV4)
	cred := bootstrap(t, a)
	if len(cred.AccessKeyID) != 20 || !strings.HasPrefix(cred.AccessKeyID, "AKIA") || len(cred.SecretAccessKey) != 40 {
		t.Errorf("%q and a secret of %d", cred.AccessKeyID, len(cred.SecretAccessKey))
	}
	if account, ok := AccountOfKey(cred.AccessKeyID); !ok || account != DefaultAccount {
		t.Errorf("account of key: %q", account)
	}
	admin := authenticate(t, a, cred, "lambda")
	if admin.Principal.ARN != "arn:aws:iam::000000000000:user/admin" || admin.Region != "eu-west-1" {
		t.Errorf("%+v", admin)
	}
	if err := a.Authorize(context.Background(), admin, "lambda:CreateFunction", nil, nil); err != nil {
		t.Error(err)
	}
	// A second node, or a restart, finds the same.
	b := open(t, s, c, ModeSigV4)
	again, created, err := b.Bootstrap(context.Background())
	if err != nil || created || again != cred {
		t.Errorf("again: %v %v %v", again, created, err)
	}
	authenticate(t, b, cred, "lambda")
	for _, text := range []string{fmt.Sprint(cred), fmt.Sprintf("%+v %#v", cred, cred), fmt.Sprintf("%v %#v", a.master, a.master)} {
		if strings.Contains(text, cred.SecretAccessKey) {
			t.Errorf("a secret in %q", text)
		}
	}
	// Nothing at rest holds the secret in clear.
	page, _, err := s.List(context.Background(), "iam/", "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range page {
		if bytes.Contains(r.Value, []byte(cred.SecretAccessKey)) {
			t.Errorf("%s holds the secret", r.Key)
		}
	}
}

func TestAuthenticationFaults(t *testing.T) {
	a, c := openNew(t)
	cred := bootstrap(t, a)
	_, inactive := addUser(t, a, "off", nil)
	key, err := Get[AccessKey](context.Background(), a.Table(), AccessKeyKey(inactive.AccessKeyID))
	if err != nil {
		t.Fatal(err)
	}
	key.Value.Active = false
	write(t, a, map[string]any{AccessKeyKey(inactive.AccessKeyID): key.Value})
	addRole(t, a, "r", nil)
	session, err := a.IssueForFunction(context.Background(), "arn:aws:iam::000000000000:role/r", testFunction, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	short, err := a.IssueForFunction(context.Background(), "arn:aws:iam::000000000000:role/r", testFunction, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	c.move(2 * time.Second)
	wrongSecret, unknown, badToken, otherToken := cred, cred, session.Credentials, session.Credentials
	wrongSecret.SecretAccessKey = strings.Repeat("x", 40)
	unknown.AccessKeyID = "AKIAQAAAAAAAAAAAAAAA"
	badToken.SessionToken = badToken.SessionToken[:40] + "AAAA" + badToken.SessionToken[44:]
	otherToken.SessionToken = short.SessionToken
	noToken := session.Credentials
	noToken.SessionToken = ""
	longWithToken := cred
	longWithToken.SessionToken = session.SessionToken

	at := func(cred sigv4.Credentials) *http.Request { return signed("lambda", cred, c.Now(), "{}") }
	unsigned, _ := http.NewRequest("POST", "http://h/", nil)
	garbled := at(cred)
	garbled.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x")
	tests := []struct {
		name            string
		r               *http.Request
		json, query, s3 string
		statuses        [3]int
		text            string
	}{
		{"unsigned", unsigned, "MissingAuthenticationTokenException", "MissingAuthenticationToken", "AccessDenied", [3]int{403, 403, 403}, "Missing Authentication Token"},
		{"garbled", garbled, "IncompleteSignatureException", "IncompleteSignature", "AuthorizationHeaderMalformed", [3]int{400, 400, 400}, "Authorization header requires"},
		{"unknown key", at(unknown), "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId", [3]int{403, 403, 403}, "The security token included in the request is invalid."},
		{"inactive key", at(inactive), "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId", [3]int{403, 403, 403}, "is invalid."},
		{"wrong secret", at(wrongSecret), "InvalidSignatureException", "SignatureDoesNotMatch", "SignatureDoesNotMatch", [3]int{403, 403, 403}, "The request signature we calculated does not match"},
		{"session without token", at(noToken), "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId", [3]int{403, 403, 403}, "is invalid."},
		{"broken token", at(badToken), "UnrecognizedClientException", "InvalidClientTokenId", "InvalidToken", [3]int{403, 403, 400}, "is invalid."},
		{"another session's token", at(otherToken), "UnrecognizedClientException", "InvalidClientTokenId", "InvalidToken", [3]int{403, 403, 400}, "is invalid."},
		{"long-term key with a token", at(longWithToken), "UnrecognizedClientException", "InvalidClientTokenId", "InvalidToken", [3]int{403, 403, 400}, "is invalid."},
		{"expired", at(short.Credentials), "ExpiredTokenException", "ExpiredToken", "ExpiredToken", [3]int{403, 403, 400}, "The security token included in the request is expired"},
		{"skewed", signed("lambda", cred, c.Now().Add(-time.Hour), "{}"), "InvalidSignatureException", "SignatureDoesNotMatch", "RequestTimeTooSkewed", [3]int{403, 403, 403}, "Signature expired: "},
		{"service", signed("sqs", cred, c.Now(), "{}"), "InvalidSignatureException", "SignatureDoesNotMatch", "AuthorizationHeaderMalformed", [3]int{403, 403, 400}, "correct service: 'lambda'"},
	}
	for _, test := range tests {
		for i, p := range []wire.Protocol{wire.RestJSON, wire.Query, wire.RestXML} {
			_, err := a.Authenticate(test.r, []byte("{}"), "lambda", p)
			var f wire.Fault
			if !errors.As(err, &f) {
				t.Errorf("%s: %v", test.name, err)
				continue
			}
			if want := [3]string{test.json, test.query, test.s3}[i]; f.FaultCode() != want || f.FaultStatus() != test.statuses[i] {
				t.Errorf("%s in %s: %s %d, want %s %d", test.name, p, f.FaultCode(), f.FaultStatus(), want, test.statuses[i])
			}
			if i == 0 && !strings.Contains(f.FaultMessage(), test.text) {
				t.Errorf("%s: %q", test.name, f.FaultMessage())
			}
		}
	}
}

func TestKnown(t *testing.T) {
	a, _ := openNew(t)
	addRole(t, a, "r", nil)
	addUser(t, a, "bob", nil)
	for arn, want := range map[string]bool{
		"arn:aws:iam::000000000000:role/r":           true,
		"arn:aws:iam::000000000000:user/bob":         true,
		"arn:aws:sts::000000000000:assumed-role/r/s": true,
		"arn:aws:iam::111111111111:root":             true,
		"arn:aws:sts::000000000000:federated-user/f": true,
		"arn:aws:iam::000000000000:role/bob":         false,
		"arn:aws:iam::000000000000:role/path/r":      false,
		"arn:aws:iam::111111111111:role/r":           false,
		"arn:aws:iam::000000000000:group/g":          false,
		"bob":                                        false,
	} {
		if got := a.Known(arn); got != want {
			t.Errorf("%s: %v", arn, got)
		}
	}
}

func TestSessionsDieWithTheirIdentity(t *testing.T) {
	a, _ := openNew(t)
	addRole(t, a, "r", nil)
	_, bob := addUser(t, a, "bob", nil)
	role, err := a.IssueForFunction(context.Background(), "arn:aws:iam::000000000000:role/r", testFunction, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	user, err := a.IssueSessionToken(authenticate(t, a, bob, "sts"), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	got := authenticate(t, a, role.Credentials, "lambda")
	if got.Principal.ARN != "arn:aws:sts::000000000000:assumed-role/r/f" || got.Principal.SessionName() != "f" {
		t.Error(got.Principal)
	}
	if of := got.SessionContext["lambda:SourceFunctionArn"]; len(of) != 1 || of[0] != testFunction {
		t.Errorf("the session is of the function %q", of)
	}
	if got := authenticate(t, a, user.Credentials, "lambda"); got.Principal.ARN != "arn:aws:iam::000000000000:user/bob" {
		t.Error(got.Principal)
	}
	refused := func(cred sigv4.Credentials, service string) {
		t.Helper()
		_, err := a.Authenticate(signed(service, cred, a.Now(), ""), nil, service, wire.Query)
		var f wire.Fault
		if !errors.As(err, &f) || f.FaultCode() != "InvalidClientTokenId" {
			t.Errorf("%v", err)
		}
	}
	refused(user.Credentials, "iam") // sessions of users have no way into IAM
	// Another role and user of the same names are not the same.
	addRole(t, a, "r", nil)
	refused(role.Credentials, "lambda")
	write(t, a, map[string]any{Key(KindUser, DefaultAccount, "bob"): nil})
	refused(user.Credentials, "lambda")
	refused(bob, "lambda")
	if _, err := a.IssueForFunction(context.Background(), "arn:aws:iam::000000000000:role/nobody", testFunction, time.Hour); !errors.Is(err, ErrNoRole) {
		t.Error(err)
	}
	addRole(t, a, "ec2", func(r *Role) { r.Trust = strings.Replace(trustLambda, "lambda", "ec2", 1) })
	if _, err := a.IssueForFunction(context.Background(), "arn:aws:iam::000000000000:role/ec2", testFunction, time.Hour); !errors.Is(err, ErrNotTrusted) {
		t.Error(err)
	}
}

func TestAuthorize(t *testing.T) {
	a, _ := openNew(t)
	doc := func(statements string) string { return `{"Version":"2012-10-17","Statement":[` + statements + `]}` }
	bound := &Policy{Entity: Entity{Account: DefaultAccount, Name: "bound", Path: "/p/"}, Default: "v1",
		Versions: []PolicyVersion{{ID: "v1", Document: doc(`{"Effect":"Allow","Action":"lambda:*","Resource":"*"},{"Effect":"Deny","Action":"lambda:Delete*","Resource":"*"}`)}}}
	group := &Group{Entity: Entity{Account: DefaultAccount, Name: "g", Path: "/"}}
	group.Inline = map[string]string{"i": doc(`{"Effect":"Allow","Action":"s3:*","Resource":"*"}`)}
	write(t, a, map[string]any{Key(KindPolicy, DefaultAccount, "bound"): bound, Key(KindGroup, DefaultAccount, "g"): group})
	user := func(name string, change func(*User)) *wire.Call {
		_, cred := addUser(t, a, name, change)
		return authenticate(t, a, cred, "lambda")
	}
	nobody := user("nobody", nil)
	bounded := user("bounded", func(u *User) { u.Attached, u.Boundary = []string{administratorPolicy}, bound.ARN() })
	member := user("member", func(u *User) { u.Groups = []string{"g"} })
	tagged := user("tagged", func(u *User) {
		u.Tags = []Tag{{"Team", "red"}}
		u.Inline = map[string]string{"i": doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"red","aws:username":"tagged","aws:PrincipalType":"User","aws:RequestedRegion":"eu-west-1","lambda:Principal":"x"},"IpAddress":{"aws:SourceIp":"127.0.0.1"},"DateGreaterThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"},"Bool":{"aws:SecureTransport":"false"},"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::000000000000:user/tagged"}}}`)}
	})
	dangling := user("dangling", func(u *User) {
		u.Attached = []string{administratorPolicy, "arn:aws:iam::000000000000:policy/gone"}
	})
	addRole(t, a, "r", func(r *Role) { r.Attached = []string{administratorPolicy} })
	session, _, err := a.IssueRole(RoleSession{RoleARN: "arn:aws:iam::000000000000:role/r", Name: "s", Life: time.Hour, Tags: map[string]string{"Team": "blue"},
		Policies: []string{doc(`{"Effect":"Allow","Action":"lambda:Get*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/Team":"blue"},"Null":{"aws:TokenIssueTime":"false"}}}`)}})
	if err != nil {
		t.Fatal(err)
	}
	limited := authenticate(t, a, session.Credentials, "lambda")
	federated, _, err := a.IssueFederation(bounded, Federation{Name: "fed", Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	fed := authenticate(t, a, federated.Credentials, "lambda")
	root := call(wire.Identity{Principal: rootPrincipal(DefaultAccount)}, "lambda")

	const fn = "arn:aws:lambda:eu-west-1:000000000000:function:f"
	tests := []struct {
		name   string
		call   *wire.Call
		action string
		cond   map[string][]string
		want   string // the end of the message; "" is allowed
	}{
		{"nobody", nobody, "lambda:InvokeFunction", nil, "because no identity-based policy allows the lambda:InvokeFunction action"},
		{"root", root, "lambda:InvokeFunction", nil, ""},
		{"bounded in", bounded, "lambda:InvokeFunction", nil, ""},
		{"bounded out", bounded, "s3:GetObject", nil, "because no permissions boundary allows the s3:GetObject action"},
		{"bounded deny", bounded, "lambda:DeleteFunction", nil, "with an explicit deny in a permissions boundary"},
		{"group", member, "s3:GetObject", nil, ""},
		{"group not", member, "lambda:GetFunction", nil, "because no identity-based policy allows the lambda:GetFunction action"},
		{"conditions", tagged, "lambda:X", map[string][]string{"lambda:Principal": {"x"}}, ""},
		{"conditions not", tagged, "lambda:X", nil, "because no identity-based policy allows the lambda:X action"},
		{"an unknown policy may deny", dangling, "lambda:X", nil, "with an explicit deny in an identity-based policy"},
		{"session policy", limited, "lambda:GetFunction", nil, ""},
		{"session policy not", limited, "lambda:InvokeFunction", nil, "because no session policy allows the lambda:InvokeFunction action"},
		{"federated without policy", fed, "lambda:GetFunction", nil, "because no session policy allows the lambda:GetFunction action"},
	}
	for _, test := range tests {
		err := a.Authorize(context.Background(), test.call, test.action, []string{fn}, test.cond)
		if test.want == "" {
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		var f *wire.GenericFault
		want := "User: " + test.call.Principal.ARN + " is not authorized to perform: " + test.action + " on resource: " + fn + " " + test.want
		if !errors.As(err, &f) || f.Message != want || f.Code != "AccessDeniedException" || f.Status != 403 {
			t.Errorf("%s: %v\nwant %s", test.name, err, want)
		}
	}
	everywhere := nobody
	if err := a.AuthorizeAccess(context.Background(), everywhere, Access{Action: "lambda:InvokeFunction", Resource: fn,
		ResourcePolicies: []string{`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + nobody.Principal.ARN + `"},"Action":"lambda:InvokeFunction","Resource":"` + fn + `"}}`}}); err != nil {
		t.Error(err)
	}
	anonymous := call(wire.Identity{}, "iam")
	var f *wire.GenericFault
	if err := a.Authorize(context.Background(), anonymous, "iam:GetUser", nil, nil); !errors.As(err, &f) || f.Code != "AccessDenied" {
		t.Error(err)
	}
}

func TestModeNone(t *testing.T) {
	s := mem.New()
	t.Cleanup(func() { s.Close() })
	c := newClock()
	a := open(t, s, c, ModeNone)
	cred := bootstrap(t, a)
	fn, err := a.IssueForFunction(context.Background(), "arn:aws:iam::111111111111:role/any", testFunction, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	unsigned, _ := http.NewRequest("GET", "http://h/", nil)
	for _, test := range []struct {
		r    *http.Request
		want string
	}{
		{unsigned, "arn:aws:iam::000000000000:root"},
		{signed("lambda", sigv4.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, c.Now().Add(-1000*time.Hour), ""), "arn:aws:iam::000000000000:root"},
		{signed("lambda", sigv4.Credentials{AccessKeyID: "123456789012", SecretAccessKey: "x"}, c.Now(), ""), "arn:aws:iam::123456789012:root"},
		{signed("lambda", sigv4.Credentials{AccessKeyID: cred.AccessKeyID, SecretAccessKey: "x"}, c.Now(), ""), "arn:aws:iam::000000000000:user/admin"},
		{signed("lambda", fn.Credentials, c.Now(), ""), "arn:aws:sts::111111111111:assumed-role/any/f"},
		{signed("lambda", sigv4.Credentials{AccessKeyID: "test", SessionToken: "x"}, c.Now(), ""), "arn:aws:iam::000000000000:root"},
	} {
		id, err := a.Authenticate(test.r, nil, "lambda", wire.RestJSON)
		if err != nil || id.Principal.ARN != test.want {
			t.Errorf("%v %v, want %s", id.Principal, err, test.want)
		}
		if err := a.Authorize(context.Background(), call(id, "lambda"), "x:Y", nil, nil); err != nil {
			t.Error(err)
		}
		if id.AccessKeyID != "" {
			t.Error("an access key id in mode none")
		}
	}
}

func TestOpenRefusesUnknownMode(t *testing.T) {
	if _, err := Open(context.Background(), Options{Mode: "maybe"}); err == nil {
		t.Error("no error")
	}
}

func TestLastUseSurvivesARestart(t *testing.T) {
	s := mem.New()
	t.Cleanup(func() { s.Close() })
	c := newClock()
	a, err := Open(context.Background(), Options{Records: s, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	cred := bootstrap(t, a)
	if _, _, _, used := a.LastUse(cred.AccessKeyID); used {
		t.Error("used before its first use")
	}
	authenticate(t, a, cred, "lambda")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	b := open(t, s, c, ModeSigV4)
	at, service, region, used := b.LastUse(cred.AccessKeyID)
	if !used || !at.Equal(c.Now()) || service != "lambda" || region != "eu-west-1" {
		t.Error(at, service, region, used)
	}
	key, err := Get[AccessKey](context.Background(), b.Table(), AccessKeyKey(cred.AccessKeyID))
	if err != nil {
		t.Fatal(err)
	}
	err = b.Table().Retry(context.Background(), func(ctx context.Context) ([]store.Write, error) { return DropAccessKey(ctx, b.Table(), key) })
	if err != nil {
		t.Fatal(err)
	}
	if page, _, err := s.List(context.Background(), keyUseKey(""), "", 10); err != nil || len(page) > 0 {
		t.Errorf("left behind: %v %v", page, err)
	}
}

// Keys are used while others are made and removed.
func TestConcurrent(t *testing.T) {
	a, _ := openNew(t)
	cred := bootstrap(t, a)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Add(2)
		go func() {
			defer wg.Done()
			for range 50 {
				c := authenticate(t, a, cred, "lambda")
				if err := a.Authorize(context.Background(), c, "lambda:X", nil, nil); err != nil {
					t.Error(err)
					return
				}
			}
		}()
		go func() {
			defer wg.Done()
			for n := range 20 {
				name := fmt.Sprintf("u%d-%d", i, n)
				_, own := addUser(t, a, name, nil)
				authenticate(t, a, own, "lambda")
				write(t, a, map[string]any{Key(KindUser, DefaultAccount, name): nil, AccessKeyKey(own.AccessKeyID): nil})
			}
		}()
	}
	wg.Wait()
}

func TestSeal(t *testing.T) {
	m := &Master{key: [32]byte{1}}
	sealed := m.seal("p", "b", []byte("secret"))
	if got, err := m.unseal("p", "b", sealed); err != nil || string(got) != "secret" {
		t.Fatal(string(got), err)
	}
	sealed[len(sealed)-1] ^= 1
	for name, f := range map[string]func() ([]byte, error){
		"changed": func() ([]byte, error) { return m.unseal("p", "b", sealed) },
		"purpose": func() ([]byte, error) { return m.unseal("q", "b", m.seal("p", "b", nil)) },
		"bound":   func() ([]byte, error) { return m.unseal("p", "c", m.seal("p", "b", nil)) },
		"short":   func() ([]byte, error) { return m.unseal("p", "b", nil) },
		"master":  func() ([]byte, error) { return (&Master{}).unseal("p", "b", m.seal("p", "b", nil)) },
	} {
		if _, err := f(); !errors.Is(err, ErrSeal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzToken(f *testing.F) {
	m := &Master{key: [32]byte{1}}
	c, err := m.issue(Session{Type: aws.PrincipalAssumedRole, Account: DefaultAccount, Name: "r"}, time.Unix(0, 0), time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.SessionToken)
	f.Add("AQ==")
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := m.open(token); err != nil && !errors.Is(err, ErrToken) {
			t.Fatal(err)
		}
	})
}

// The whole of what the warm path asks of this room.
func BenchmarkAuthenticateAuthorize(b *testing.B) {
	a, _ := openNew(b)
	_, long := addUser(b, a, "u", func(u *User) { u.Attached = []string{administratorPolicy} })
	addRole(b, a, "r", func(r *Role) {
		r.Attached = []string{"arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole", "arn:aws:iam::aws:policy/AWSLambda_FullAccess"}
	})
	session, err := a.IssueForFunction(context.Background(), "arn:aws:iam::000000000000:role/r", testFunction, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	body, err := json.Marshal(map[string]string{"hello": strings.Repeat("x", 200)})
	if err != nil {
		b.Fatal(err)
	}
	for name, cred := range map[string]sigv4.Credentials{"user": long, "session": session.Credentials} {
		r := signed("lambda", cred, a.Now(), string(body))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				id, err := a.Authenticate(r, body, "lambda", wire.RestJSON)
				if err != nil {
					b.Fatal(err)
				}
				if err := a.Authorize(context.Background(), call(id, "lambda"), "lambda:InvokeFunction", []string{"arn:aws:lambda:eu-west-1:000000000000:function:f"}, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
