package policy

import (
	"strings"
	"testing"
)

func TestContextKeys(t *testing.T) {
	for _, test := range []struct{ document, want string }{
		{`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, ""},
		{`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:*","Resource":"arn:aws:dynamodb:us-west-2:123456789012:table/${aws:username}","Condition":{"DateGreaterThan":{"aws:CurrentTime":"2015-08-16T12:00:00Z"}}}}`, "aws:username aws:CurrentTime"},
		{`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":["a${*}${aws:PrincipalTag/team, 'x'}","${s3:prefix"],"Condition":{"StringEquals":{"AWS:UserName":"${aws:SourceIp}"}}},{"Effect":"Deny","Action":"*","Resource":"${aws:username}"}]}`, "aws:PrincipalTag/team AWS:UserName aws:SourceIp"},
		{`{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"${aws:username}","Condition":{"Null":{"aws:TokenIssueTime":"true"}}}}`, "aws:TokenIssueTime"},
	} {
		if got := strings.Join(mustParse(t, test.document).ContextKeys(), " "); got != test.want {
			t.Errorf("%s: %q, want %q", test.document, got, test.want)
		}
	}
}
