package policy

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestMalformed(t *testing.T) {
	one := func(s string) string { return `{"Version":"2012-10-17","Statement":[` + s + `]}` }
	ok := `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`
	tests := []struct {
		name string
		kind Kind
		text string
		want string // "" is: fine
	}{
		{"fine", KindManaged, one(ok), ""},
		{"statement object", KindManaged, `{"Version":"2012-10-17","Statement":` + ok + `}`, ""},
		{"sid", KindManaged, one(`{"Sid":"","Effect":"Allow","Action":"s3:*","Resource":"*"}`), ""},
		{"empty text", KindManaged, ``, syntaxErrors},
		{"null", KindManaged, `null`, syntaxErrors},
		{"array", KindManaged, `[]`, syntaxErrors},
		{"cut off", KindManaged, one(ok)[:20], syntaxErrors},
		{"two documents", KindManaged, one(ok) + one(ok), syntaxErrors},
		{"no version", KindManaged, `{"Statement":` + ok + `}`, "Policy document must be version 2012-10-17 or greater."},
		{"old version", KindManaged, `{"Version":"2008-10-17","Statement":` + ok + `}`, "Policy document must be version 2012-10-17 or greater."},
		{"old version inline", KindInline, `{"Version":"2008-10-17","Statement":` + ok + `}`, ""},
		{"unknown version", KindInline, `{"Version":"2020-01-01","Statement":` + ok + `}`, syntaxErrors},
		{"no statement", KindManaged, `{"Version":"2012-10-17"}`, syntaxErrors},
		{"empty statement", KindManaged, one(``), syntaxErrors},
		{"unknown member", KindManaged, one(`{"Effect":"Allow","Action":"s3:*","Resource":"*","Foo":1}`), syntaxErrors},
		{"unknown top member", KindManaged, `{"Version":"2012-10-17","Foo":1,"Statement":` + ok + `}`, syntaxErrors},
		{"duplicate member", KindManaged, one(`{"Effect":"Allow","Effect":"Deny","Action":"s3:*","Resource":"*"}`), syntaxErrors},
		{"effect", KindManaged, one(`{"Effect":"allow","Action":"s3:*","Resource":"*"}`), syntaxErrors},
		{"no effect", KindManaged, one(`{"Action":"s3:*","Resource":"*"}`), syntaxErrors},
		{"no action", KindManaged, one(`{"Effect":"Allow","Resource":"*"}`), "Policy statement must contain actions."},
		{"both actions", KindManaged, one(`{"Effect":"Allow","Action":"s3:*","NotAction":"s3:*","Resource":"*"}`), syntaxErrors},
		{"no resource", KindManaged, one(`{"Effect":"Allow","Action":"s3:*"}`), "Policy statement must contain resources."},
		{"action without vendor", KindManaged, one(`{"Effect":"Allow","Action":"GetObject","Resource":"*"}`), vendorSentence},
		{"action with bad vendor", KindManaged, one(`{"Effect":"Allow","Action":"s 3:GetObject","Resource":"*"}`), "Vendor s 3 is not valid"},
		{"resource without arn", KindManaged, one(`{"Effect":"Allow","Action":"s3:*","Resource":"bucket"}`), `Resource bucket must be in ARN format or "*".`},
		{"partition", KindManaged, one(`{"Effect":"Allow","Action":"s3:*","Resource":"arn:mars:s3:::b"}`), `Partition "mars" is not valid for resource "arn:mars:s3:::b".`},
		{"iam region", KindManaged, one(`{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:iam:us-east-1:1:user/a"}`), "cannot contain region information"},
		{"s3 region", KindManaged, one(`{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:us-east-1::b"}`), "can not contain region information"},
		{"wild vendor", KindManaged, one(`{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s*:::b"}`), "Resource vendor must be fully qualified"},
		{"principal", KindManaged, one(`{"Effect":"Allow","Action":"s3:*","Resource":"*","Principal":"*"}`), "Policy document should not specify a principal."},
		{"same sid", KindManaged, one(`{"Sid":"a","Effect":"Allow","Action":"s3:*","Resource":"*"},{"Sid":"a","Effect":"Allow","Action":"s3:*","Resource":"*"}`), "must be unique"},
		{"sid letters", KindManaged, one(`{"Sid":"a-b","Effect":"Allow","Action":"s3:*","Resource":"*"}`), "alpha-numeric"},
		{"operator", KindManaged, one(`{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringIs":{"k:a":"v"}}}`), syntaxErrors},
		{"operator if exists on null", KindManaged, one(`{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"NullIfExists":{"k:a":"true"}}}`), syntaxErrors},
		{"number value", KindManaged, one(`{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"NumericEquals":{"k:a":"x"}}}`), syntaxErrors},
		{"date value", KindManaged, one(`{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"DateEquals":{"k:a":"x"}}}`), syntaxErrors},
		{"ip value", KindManaged, one(`{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"IpAddress":{"k:a":"300.1.1.1"}}}`), syntaxErrors},
		{"bool value", KindManaged, one(`{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"Bool":{"k:a":"yes"}}}`), syntaxErrors},
		{"condition key", KindManaged, one(`{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"ka":"yes"}}}`), vendorSentence},
		{"condition shape", KindManaged, one(`{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":[]}`), syntaxErrors},
		{"deep", KindManaged, strings.Repeat("[", 100000), syntaxErrors},
		{"trust fine", KindTrust, one(`{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"lambda.amazonaws.com"}}`), ""},
		{"trust aws", KindTrust, one(`{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession"],"Principal":{"AWS":["000000000000","arn:aws:iam::000000000000:user/x","*"]}}`), ""},
		{"trust federated", KindTrust, one(`{"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":"cognito-identity.amazonaws.com"}}`), ""},
		{"trust json", KindTrust, `{`, "This policy contains invalid Json"},
		{"trust not principal", KindTrust, one(`{"Effect":"Deny","Action":"sts:AssumeRole","NotPrincipal":{"AWS":"000000000000"}}`), "Has prohibited field NotPrincipal"},
		{"trust resource", KindTrust, one(`{"Effect":"Allow","Action":"sts:AssumeRole","Principal":"*","Resource":"*"}`), "Has prohibited field Resource"},
		{"trust principal", KindTrust, one(`{"Effect":"Allow","Action":"sts:AssumeRole"}`), "Missing required field Principal"},
		{"trust action", KindTrust, one(`{"Effect":"Allow","Action":"s3:GetObject","Principal":"*"}`), "AssumeRole policy may only specify STS AssumeRole actions."},
		{"trust bad service", KindTrust, one(`{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"lambda"}}`), `Invalid principal in policy: "SERVICE":"lambda"`},
		{"trust bad aws", KindTrust, one(`{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"me"}}`), `Invalid principal in policy: "AWS":"me"`},
		{"trust wild role", KindTrust, one(`{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"arn:aws:iam::000000000000:role/*"}}`), "Invalid principal"},
		{"resource policy", KindResource, one(`{"Sid":"any-thing","Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"*"}`), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseFor(test.kind, test.text)
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var m *MalformedError
			if !errors.As(err, &m) || !strings.Contains(m.Message, test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestPositions(t *testing.T) {
	d := mustParse(t, `{"Version": "2012-10-17", "Statement": [{"Sid": "", "Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}]}`)
	if s := d.Statements[0]; s.Start != (Position{1, 41}) || s.End != (Position{1, 113}) {
		t.Errorf("%v to %v", s.Start, s.End)
	}
	d = mustParse(t, "{\n \"Statement\": [\n  {\"Effect\":\"Allow\",\"Action\":\"*\",\n   \"Resource\":\"*\"\n  }]}")
	if s := d.Statements[0]; s.Start != (Position{3, 3}) || s.End != (Position{5, 3}) {
		t.Errorf("%v to %v", s.Start, s.End)
	}
}

func TestCache(t *testing.T) {
	c := NewCache()
	text := `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
	a, err := c.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := c.Parse(text); a != b {
		t.Error("compiled twice")
	}
	if _, err := c.Parse("x"); err == nil {
		t.Error("no error")
	}
}

func FuzzParse(f *testing.F) {
	for _, r := range rows[:40] {
		f.Add(`{"Version":"2012-10-17","Statement":[`+r.policy+`]}`, r.resource, r.context)
	}
	f.Fuzz(func(t *testing.T, text, resource, context string) {
		d, err := Parse(text)
		if err != nil {
			return
		}
		for k := KindManaged; k <= KindResource; k++ {
			_ = d.Validate(k)
		}
		Evaluate(&Request{Principal: alice, Action: "s3:GetObject", Resource: resource, Context: parseContext(context)}, &Policies{Identity: []Source{{"p", d}}})
	})
}

// A pattern that is written to be slow must not be.
func TestHostilePatterns(t *testing.T) {
	value := "arn:aws:s3:::" + strings.Repeat("a", 2000)
	for _, r := range []string{
		strings.Repeat("*a", 1000) + "b", "**" + strings.Repeat("a*", 1000) + "b", "arn:aws:s3:::" + strings.Repeat("*a?", 600) + "b",
		strings.Repeat("*:", 4) + strings.Repeat("*a", 800) + "b", strings.Repeat("*?", 1000) + "b",
	} {
		d := mustParse(t, `{"Statement":`+resourceIs(`"`+r+`"`)+`}`)
		start := time.Now()
		if got := Evaluate(&Request{Principal: alice, Action: "s3:X", Resource: value}, &Policies{Identity: []Source{{"p", d}}}); got.Outcome == Allowed {
			t.Errorf("%.20s matches", r)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%.20s took %v", r, took)
		}
	}
}
