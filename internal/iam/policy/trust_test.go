package policy

import "testing"

func TestTrustAsRead(t *testing.T) {
	for _, test := range []struct{ written, read string }{
		{`no policy`, `no policy`},
		{`{"Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}`,
			`{"Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}`},
		{`{"Statement":{"Effect":"Allow","Principal":{"Service":[ "ec2.amazonaws.com"
			]},"Action":["sts:AssumeRole"]}}`,
			`{"Statement":{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}}`},
		{`{"Statement":[{"Principal":{"AWS":"000000000001"}},{"Principal":{"AWS":["000000000002"]}},{"Principal":{"AWS":["000000000003","000000000004"]}}]}`,
			`{"Statement":[{"Principal":{"AWS":"arn:aws:iam::000000000001:root"}},{"Principal":{"AWS":"arn:aws:iam::000000000002:root"}},{"Principal":{"AWS":["arn:aws:iam::000000000003:root","arn:aws:iam::000000000004:root"]}}]}`},
		// What is no principal stays, and so does what two things are.
		{`{"Statement":[{"Principal":"*","Action":["sts:AssumeRole","sts:TagSession"],"Condition":{"StringEquals":{"aws:SourceAccount":["000000000001"]}}}]}`,
			`{"Statement":[{"Principal":"*","Action":["sts:AssumeRole","sts:TagSession"],"Condition":{"StringEquals":{"aws:SourceAccount":["000000000001"]}}}]}`},
		{`{"Statement":[{"Principal":{"AWS":["\u0030\u003000000000001"]}}]}`, `{"Statement":[{"Principal":{"AWS":"\u0030\u003000000000001"}}]}`},
		{`{"Statement":[{"Principal":{"AWS":[],"Service":[1]},"Action":[]}]}`, `{"Statement":[{"Principal":{"AWS":[],"Service":[1]},"Action":[]}]}`},
	} {
		if got := TrustAsRead(test.written); got != test.read {
			t.Errorf("%s\nis read as\n%s, want\n%s", test.written, got, test.read)
		}
		if got := TrustAsRead(test.read); got != test.read {
			t.Errorf("%s does not stay: %s", test.read, got)
		}
	}
}

func FuzzTrustAsRead(f *testing.F) {
	f.Add(`{"Statement":[{"Principal":{"AWS":["000000000002"]},"Action":[ "a" ]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		read := TrustAsRead(text)
		if _, err := readTree(text); err != nil {
			return
		}
		if _, err := readTree(read); err != nil {
			t.Errorf("%q became %q", text, read)
		}
	})
}
