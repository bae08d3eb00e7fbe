package policy

import (
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/aws"
)

// row is one decision on one identity policy. The policy column is the inside
// of the Statement list; context is "key=a,b;key2=c".
type row struct {
	name, policy, action, resource, context string
	want                                    Outcome
}

const fn = "arn:aws:lambda:us-east-1:000000000000:function:alpha"

// allow and deny make a statement on everything, with a condition.
func allow(condition string) string {
	return `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{` + condition + `}}`
}

func resourceIs(r string) string {
	return `{"Effect":"Allow","Action":"*","Resource":` + r + `}`
}

func actionIs(a string) string { return `{"Effect":"Allow","Action":` + a + `,"Resource":"*"}` }

var rows = []row{
	// Effects.
	{"nothing", ``, "s3:GetObject", "*", "", ImplicitDeny},
	{"allow all", actionIs(`"*"`), "s3:GetObject", "arn:aws:s3:::b/k", "", Allowed},
	{"deny wins after", actionIs(`"*"`) + `,{"Effect":"Deny","Action":"s3:*","Resource":"*"}`, "s3:GetObject", "*", "", ExplicitDeny},
	{"deny wins before", `{"Effect":"Deny","Action":"s3:*","Resource":"*"},` + actionIs(`"*"`), "s3:GetObject", "*", "", ExplicitDeny},
	{"deny elsewhere", actionIs(`"*"`) + `,{"Effect":"Deny","Action":"sqs:*","Resource":"*"}`, "s3:GetObject", "*", "", Allowed},
	{"deny of another resource", actionIs(`"*"`) + `,{"Effect":"Deny","Action":"*","Resource":"arn:aws:s3:::x"}`, "s3:GetObject", "arn:aws:s3:::y", "", Allowed},
	{"deny alone", `{"Effect":"Deny","Action":"*","Resource":"*"}`, "s3:GetObject", "*", "", ExplicitDeny},
	{"single statement object", actionIs(`"s3:GetObject"`), "s3:GetObject", "*", "", Allowed},

	// Actions.
	{"action exact", actionIs(`"lambda:InvokeFunction"`), "lambda:InvokeFunction", fn, "", Allowed},
	{"action other", actionIs(`"lambda:InvokeFunction"`), "lambda:GetFunction", fn, "", ImplicitDeny},
	{"action case", actionIs(`"LAMBDA:invokefunction"`), "lambda:InvokeFunction", fn, "", Allowed},
	{"action prefix", actionIs(`"lambda:Get*"`), "lambda:GetFunction", fn, "", Allowed},
	{"action prefix no", actionIs(`"lambda:Get*"`), "lambda:UpdateFunctionCode", fn, "", ImplicitDeny},
	{"action suffix", actionIs(`"lambda:*Function"`), "lambda:InvokeFunction", fn, "", Allowed},
	{"action suffix no", actionIs(`"lambda:*Function"`), "lambda:InvokeFunctionUrl", fn, "", ImplicitDeny},
	{"action middle", actionIs(`"lambda:*Func*"`), "lambda:InvokeFunctionUrl", fn, "", Allowed},
	{"action question", actionIs(`"s3:?etObject"`), "s3:GetObject", "*", "", Allowed},
	{"action question needs one", actionIs(`"s3:GetObject?"`), "s3:GetObject", "*", "", ImplicitDeny},
	{"action service star", actionIs(`"s*:GetObject"`), "s3:GetObject", "*", "", Allowed},
	{"action list", actionIs(`["a:b","s3:GetObject"]`), "s3:GetObject", "*", "", Allowed},
	{"action prefix of it", actionIs(`"s3:GetObjec"`), "s3:GetObject", "*", "", ImplicitDeny},
	{"action longer", actionIs(`"s3:GetObjects"`), "s3:GetObject", "*", "", ImplicitDeny},
	{"action has no variables", actionIs(`"s3:${aws:username}"`), "s3:GetObject", "*", "aws:username=GetObject", ImplicitDeny},
	{"not action other", `{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}`, "s3:GetObject", "*", "", Allowed},
	{"not action it", `{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}`, "iam:GetUser", "*", "", ImplicitDeny},
	{"not action list", `{"Effect":"Allow","NotAction":["iam:*","sts:*"],"Resource":"*"}`, "sts:AssumeRole", "*", "", ImplicitDeny},
	{"deny not action", actionIs(`"*"`) + `,{"Effect":"Deny","NotAction":"s3:*","Resource":"*"}`, "iam:GetUser", "*", "", ExplicitDeny},
	{"deny not action spared", actionIs(`"*"`) + `,{"Effect":"Deny","NotAction":"s3:*","Resource":"*"}`, "s3:GetObject", "*", "", Allowed},
	{"two stars", actionIs(`"s3:G*t*ject"`), "s3:GetObject", "*", "", Allowed},
	{"star matches empty", actionIs(`"s3:GetObject*"`), "s3:GetObject", "*", "", Allowed},

	// Resources.
	{"resource exact", resourceIs(`"` + fn + `"`), "lambda:X", fn, "", Allowed},
	{"resource case counts", resourceIs(`"` + strings.ToUpper(fn) + `"`), "lambda:X", fn, "", ImplicitDeny},
	{"resource other", resourceIs(`"` + fn + `"`), "lambda:X", fn + ":1", "", ImplicitDeny},
	{"resource star end", resourceIs(`"arn:aws:lambda:us-east-1:000000000000:function:*"`), "lambda:X", fn, "", Allowed},
	{"resource star end spans colons", resourceIs(`"arn:aws:lambda:us-east-1:000000000000:function:al*"`), "lambda:X", fn + ":PROD", "", Allowed},
	{"resource star middle of name", resourceIs(`"arn:aws:lambda:us-east-1:000000000000:function:*:PROD"`), "lambda:X", fn + ":PROD", "", Allowed},
	{"resource star region", resourceIs(`"arn:aws:lambda:*:000000000000:function:alpha"`), "lambda:X", fn, "", Allowed},
	{"resource star account", resourceIs(`"arn:aws:lambda:*:*:function:alpha"`), "lambda:X", fn, "", Allowed},
	{"resource question region", resourceIs(`"arn:aws:lambda:us-????-1:000000000000:function:alpha"`), "lambda:X", fn, "", Allowed},
	{"question does not match a colon", resourceIs(`"arn:aws:lambda:us-east-1?000000000000:function:alpha"`), "lambda:X", fn, "", ImplicitDeny},
	{"star inside a segment stays there", resourceIs(`"arn:aws:lambda:us*1:000000000000:function:alpha"`), "lambda:X", fn, "", Allowed},
	{"star inside a segment does not span", resourceIs(`"arn:aws:lambda:u*0:function:alpha"`), "lambda:X", fn, "", ImplicitDeny},
	{"star ends a segment and spans", resourceIs(`"arn:aws:lambda:us-east-1:*:alpha"`), "lambda:X", fn, "", Allowed},
	{"incomplete arn", resourceIs(`"arn:aws:lambda"`), "lambda:X", fn, "", Allowed},
	{"incomplete arn region", resourceIs(`"arn:aws:lambda:eu-west-1"`), "lambda:X", fn, "", ImplicitDeny},
	{"s3 bucket is not its objects", resourceIs(`"arn:aws:s3:::b"`), "s3:GetObject", "arn:aws:s3:::b/k", "", ImplicitDeny},
	{"s3 objects", resourceIs(`"arn:aws:s3:::b/*"`), "s3:GetObject", "arn:aws:s3:::b/k/l", "", Allowed},
	{"s3 objects are not the bucket", resourceIs(`"arn:aws:s3:::b/*"`), "s3:ListBucket", "arn:aws:s3:::b", "", ImplicitDeny},
	{"s3 slash spans", resourceIs(`"arn:aws:s3:::*/k"`), "s3:GetObject", "arn:aws:s3:::b/c/k", "", Allowed},
	{"resource list", resourceIs(`["arn:aws:s3:::a","arn:aws:s3:::b"]`), "s3:X", "arn:aws:s3:::b", "", Allowed},
	{"request without a resource", resourceIs(`"arn:aws:s3:::a"`), "s3:ListAllMyBuckets", "*", "", ImplicitDeny},
	{"question in the name may be a colon", resourceIs(`"arn:aws:lambda:us-east-1:000000000000:function?alpha"`), "lambda:X", fn, "", Allowed},
	{"question is one character", resourceIs(`"arn:aws:s3:::b/?"`), "s3:X", "arn:aws:s3:::b/ü", "", Allowed},
	{"not resource", `{"Effect":"Allow","Action":"*","NotResource":"arn:aws:s3:::secret/*"}`, "s3:X", "arn:aws:s3:::open/k", "", Allowed},
	{"not resource hit", `{"Effect":"Allow","Action":"*","NotResource":"arn:aws:s3:::secret/*"}`, "s3:X", "arn:aws:s3:::secret/k", "", ImplicitDeny},
	{"deny not resource", actionIs(`"*"`) + `,{"Effect":"Deny","Action":"*","NotResource":["arn:aws:s3:::b","arn:aws:s3:::b/*"]}`, "s3:X", "arn:aws:s3:::c", "", ExplicitDeny},
	{"deny not resource spared", actionIs(`"*"`) + `,{"Effect":"Deny","Action":"*","NotResource":["arn:aws:s3:::b","arn:aws:s3:::b/*"]}`, "s3:X", "arn:aws:s3:::b/k", "", Allowed},
	{"many stars", resourceIs(`"arn:aws:s3:::*a*b*c*"`), "s3:X", "arn:aws:s3:::xxaxxbxxcxx", "", Allowed},
	{"many stars no", resourceIs(`"arn:aws:s3:::*a*b*c"`), "s3:X", "arn:aws:s3:::xxaxxbxxcxx", "", ImplicitDeny},

	// Variables.
	{"variable", resourceIs(`"arn:aws:s3:::home/${aws:username}/*"`), "s3:X", "arn:aws:s3:::home/alice/k", "aws:username=alice", Allowed},
	{"variable of another", resourceIs(`"arn:aws:s3:::home/${aws:username}/*"`), "s3:X", "arn:aws:s3:::home/bob/k", "aws:username=alice", ImplicitDeny},
	{"variable absent", resourceIs(`"arn:aws:s3:::home/${aws:username}/*"`), "s3:X", "arn:aws:s3:::home//k", "", ImplicitDeny},
	{"variable key case", resourceIs(`"arn:aws:s3:::home/${AWS:UserName}/*"`), "s3:X", "arn:aws:s3:::home/alice/k", "aws:username=alice", Allowed},
	{"variable default", resourceIs(`"arn:aws:s3:::${aws:PrincipalTag/team, 'all'}/*"`), "s3:X", "arn:aws:s3:::all/k", "", Allowed},
	{"variable default unused", resourceIs(`"arn:aws:s3:::${aws:PrincipalTag/team, 'all'}/*"`), "s3:X", "arn:aws:s3:::all/k", "aws:PrincipalTag/team=red", ImplicitDeny},
	{"variable tag", resourceIs(`"arn:aws:s3:::${aws:PrincipalTag/team}/*"`), "s3:X", "arn:aws:s3:::red/k", "aws:PrincipalTag/team=red", Allowed},
	{"variable value is literal", resourceIs(`"arn:aws:s3:::${aws:PrincipalTag/team}/*"`), "s3:X", "arn:aws:s3:::red/k", "aws:PrincipalTag/team=*", ImplicitDeny},
	{"variable star", resourceIs(`"arn:aws:s3:::${*}/k"`), "s3:X", "arn:aws:s3:::*/k", "", Allowed},
	{"variable star is literal", resourceIs(`"arn:aws:s3:::${*}/k"`), "s3:X", "arn:aws:s3:::a/k", "", ImplicitDeny},
	{"variable question", resourceIs(`"arn:aws:s3:::${?}/k"`), "s3:X", "arn:aws:s3:::?/k", "", Allowed},
	{"variable question is literal", resourceIs(`"arn:aws:s3:::${?}/k"`), "s3:X", "arn:aws:s3:::a/k", "", ImplicitDeny},
	{"variable dollar", resourceIs(`"arn:aws:s3:::${$}/k"`), "s3:X", "arn:aws:s3:::$/k", "", Allowed},
	{"variable unclosed is text", resourceIs(`"arn:aws:s3:::${aws:username"`), "s3:X", "arn:aws:s3:::${aws:username", "aws:username=a", Allowed},
	{"variable with two values", resourceIs(`"arn:aws:s3:::${aws:TagKeys}"`), "s3:X", "arn:aws:s3:::a", "aws:TagKeys=a,b", ImplicitDeny},
	{"variable in a condition", allow(`"StringEquals":{"s3:prefix":"${aws:username}"}`), "s3:X", "*", "s3:prefix=alice;aws:username=alice", Allowed},
	{"variable in like", allow(`"StringLike":{"s3:prefix":"home/${aws:username}/*"}`), "s3:X", "*", "s3:prefix=home/alice/x;aws:username=alice", Allowed},
	{"variable in a condition absent", allow(`"StringEquals":{"s3:prefix":"${aws:username}"}`), "s3:X", "*", "s3:prefix=alice", ImplicitDeny},
	{"variable compares two keys", allow(`"StringEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/team}"}`), "s3:X", "*", "aws:ResourceTag/team=red;aws:PrincipalTag/team=red", Allowed},
	{"variable in arn condition", allow(`"ArnLike":{"aws:SourceArn":"arn:aws:s3:::${aws:username}"}`), "s3:X", "*", "aws:SourceArn=arn:aws:s3:::a;aws:username=a", Allowed},
	{"variable fold", allow(`"StringEqualsIgnoreCase":{"k:a":"x${aws:username}Y"}`), "s3:X", "*", "k:a=XALICEy;aws:username=Alice", Allowed},

	// Strings.
	{"string equals", allow(`"StringEquals":{"k:a":"v"}`), "x:y", "*", "k:a=v", Allowed},
	{"string equals case", allow(`"StringEquals":{"k:a":"v"}`), "x:y", "*", "k:a=V", ImplicitDeny},
	{"string equals or", allow(`"StringEquals":{"k:a":["u","v"]}`), "x:y", "*", "k:a=v", Allowed},
	{"string equals absent", allow(`"StringEquals":{"k:a":"v"}`), "x:y", "*", "", ImplicitDeny},
	{"string equals wildcard is literal", allow(`"StringEquals":{"k:a":"v*"}`), "x:y", "*", "k:a=vv", ImplicitDeny},
	{"string equals literal star", allow(`"StringEquals":{"k:a":"v*"}`), "x:y", "*", "k:a=v*", Allowed},
	{"key case", allow(`"StringEquals":{"K:A":"v"}`), "x:y", "*", "k:a=v", Allowed},
	{"two keys and", allow(`"StringEquals":{"k:a":"v","k:b":"w"}`), "x:y", "*", "k:a=v;k:b=w", Allowed},
	{"two keys and no", allow(`"StringEquals":{"k:a":"v","k:b":"w"}`), "x:y", "*", "k:a=v;k:b=x", ImplicitDeny},
	{"two operators and", allow(`"StringEquals":{"k:a":"v"},"StringLike":{"k:b":"w*"}`), "x:y", "*", "k:a=v;k:b=ww", Allowed},
	{"two operators and no", allow(`"StringEquals":{"k:a":"v"},"StringLike":{"k:b":"w*"}`), "x:y", "*", "k:a=v;k:b=x", ImplicitDeny},
	{"string not equals", allow(`"StringNotEquals":{"k:a":"v"}`), "x:y", "*", "k:a=w", Allowed},
	{"string not equals hit", allow(`"StringNotEquals":{"k:a":"v"}`), "x:y", "*", "k:a=v", ImplicitDeny},
	{"string not equals absent", allow(`"StringNotEquals":{"k:a":"v"}`), "x:y", "*", "", Allowed},
	{"string not equals nor", allow(`"StringNotEquals":{"k:a":["u","v"]}`), "x:y", "*", "k:a=v", ImplicitDeny},
	{"string fold", allow(`"StringEqualsIgnoreCase":{"k:a":"VaL"}`), "x:y", "*", "k:a=vAl", Allowed},
	{"string fold no", allow(`"StringEqualsIgnoreCase":{"k:a":"VaL"}`), "x:y", "*", "k:a=val2", ImplicitDeny},
	{"string not fold", allow(`"StringNotEqualsIgnoreCase":{"k:a":"VAL"}`), "x:y", "*", "k:a=val", ImplicitDeny},
	{"string not fold other", allow(`"StringNotEqualsIgnoreCase":{"k:a":"VAL"}`), "x:y", "*", "k:a=lav", Allowed},
	{"string like", allow(`"StringLike":{"k:a":"a*z"}`), "x:y", "*", "k:a=abcz", Allowed},
	{"string like question", allow(`"StringLike":{"k:a":"a?z"}`), "x:y", "*", "k:a=abz", Allowed},
	{"string like question no", allow(`"StringLike":{"k:a":"a?z"}`), "x:y", "*", "k:a=az", ImplicitDeny},
	{"string like star alone needs the key", allow(`"StringLike":{"k:a":"*"}`), "x:y", "*", "", ImplicitDeny},
	{"string like star alone", allow(`"StringLike":{"k:a":"*"}`), "x:y", "*", "k:a=x", Allowed},
	{"string like spans colons", allow(`"StringLike":{"k:a":"a*d"}`), "x:y", "*", "k:a=a:b:c:d", Allowed},
	{"string not like", allow(`"StringNotLike":{"k:a":"a*"}`), "x:y", "*", "k:a=b", Allowed},
	{"string not like hit", allow(`"StringNotLike":{"k:a":"a*"}`), "x:y", "*", "k:a=ab", ImplicitDeny},
	{"string not like absent", allow(`"StringNotLike":{"k:a":"a*"}`), "x:y", "*", "", Allowed},
	{"empty list allows nobody", allow(`"StringEquals":{"k:a":[]}`), "x:y", "*", "k:a=v", ImplicitDeny},

	// IfExists.
	{"if exists absent", allow(`"StringEqualsIfExists":{"k:a":"v"}`), "x:y", "*", "", Allowed},
	{"if exists equal", allow(`"StringEqualsIfExists":{"k:a":"v"}`), "x:y", "*", "k:a=v", Allowed},
	{"if exists other", allow(`"StringEqualsIfExists":{"k:a":"v"}`), "x:y", "*", "k:a=w", ImplicitDeny},
	{"if exists like", allow(`"StringLikeIfExists":{"k:a":"v*"}`), "x:y", "*", "", Allowed},
	{"if exists number", allow(`"NumericLessThanIfExists":{"k:a":"5"}`), "x:y", "*", "", Allowed},
	{"if exists number no", allow(`"NumericLessThanIfExists":{"k:a":"5"}`), "x:y", "*", "k:a=6", ImplicitDeny},
	{"if exists bool", allow(`"BoolIfExists":{"k:a":"true"}`), "x:y", "*", "", Allowed},
	{"if exists negated", allow(`"StringNotEqualsIfExists":{"k:a":"v"}`), "x:y", "*", "k:a=v", ImplicitDeny},
	{"if exists ip", allow(`"IpAddressIfExists":{"k:a":"10.0.0.0/8"}`), "x:y", "*", "", Allowed},
	{"if exists arn", allow(`"ArnLikeIfExists":{"k:a":"arn:aws:s3:::b"}`), "x:y", "*", "", Allowed},
	{"if exists date", allow(`"DateLessThanIfExists":{"k:a":"2020-01-01"}`), "x:y", "*", "", Allowed},

	// Numbers.
	{"number equals", allow(`"NumericEquals":{"k:a":"5"}`), "x:y", "*", "k:a=5.0", Allowed},
	{"number as number", allow(`"NumericEquals":{"k:a":5}`), "x:y", "*", "k:a=5", Allowed},
	{"number equals no", allow(`"NumericEquals":{"k:a":"5"}`), "x:y", "*", "k:a=6", ImplicitDeny},
	{"number not a number", allow(`"NumericEquals":{"k:a":"5"}`), "x:y", "*", "k:a=five", ImplicitDeny},
	{"number not equals", allow(`"NumericNotEquals":{"k:a":"5"}`), "x:y", "*", "k:a=6", Allowed},
	{"number not equals hit", allow(`"NumericNotEquals":{"k:a":"5"}`), "x:y", "*", "k:a=5", ImplicitDeny},
	{"number less", allow(`"NumericLessThan":{"k:a":"5"}`), "x:y", "*", "k:a=4.9", Allowed},
	{"number less edge", allow(`"NumericLessThan":{"k:a":"5"}`), "x:y", "*", "k:a=5", ImplicitDeny},
	{"number less equal edge", allow(`"NumericLessThanEquals":{"k:a":"5"}`), "x:y", "*", "k:a=5", Allowed},
	{"number greater", allow(`"NumericGreaterThan":{"k:a":"5"}`), "x:y", "*", "k:a=10", Allowed},
	{"number greater edge", allow(`"NumericGreaterThan":{"k:a":"5"}`), "x:y", "*", "k:a=5", ImplicitDeny},
	{"number greater equal edge", allow(`"NumericGreaterThanEquals":{"k:a":"5"}`), "x:y", "*", "k:a=5", Allowed},
	{"number absent", allow(`"NumericGreaterThan":{"k:a":"5"}`), "x:y", "*", "", ImplicitDeny},
	{"number negative", allow(`"NumericLessThan":{"k:a":"-1"}`), "x:y", "*", "k:a=-2", Allowed},

	// Dates.
	{"date equals", allow(`"DateEquals":{"k:t":"2026-01-02T03:04:05Z"}`), "x:y", "*", "k:t=2026-01-02T03:04:05Z", Allowed},
	{"date zone", allow(`"DateEquals":{"k:t":"2026-01-02T03:04:05Z"}`), "x:y", "*", "k:t=2026-01-02T04:04:05+01:00", Allowed},
	{"date epoch", allow(`"DateEquals":{"k:t":"1767323045"}`), "x:y", "*", "k:t=2026-01-02T03:04:05Z", Allowed},
	{"date not equals", allow(`"DateNotEquals":{"k:t":"2026-01-02"}`), "x:y", "*", "k:t=2026-01-02T00:00:01Z", Allowed},
	{"date less", allow(`"DateLessThan":{"k:t":"2026-01-02T00:00:00Z"}`), "x:y", "*", "k:t=2026-01-01T23:59:59Z", Allowed},
	{"date less no", allow(`"DateLessThan":{"k:t":"2026-01-02T00:00:00Z"}`), "x:y", "*", "k:t=2026-01-02T00:00:00Z", ImplicitDeny},
	{"date less equal", allow(`"DateLessThanEquals":{"k:t":"2026-01-02"}`), "x:y", "*", "k:t=2026-01-02T00:00:00Z", Allowed},
	{"date greater", allow(`"DateGreaterThan":{"k:t":"2026-01-02T00:00:00Z"}`), "x:y", "*", "k:t=2027-01-01T00:00:00Z", Allowed},
	{"date greater equal", allow(`"DateGreaterThanEquals":{"k:t":"2026-01-02T00:00:00Z"}`), "x:y", "*", "k:t=2026-01-02T00:00:00Z", Allowed},
	{"date greater no", allow(`"DateGreaterThan":{"k:t":"2026-01-02T00:00:00Z"}`), "x:y", "*", "k:t=2025-01-01T00:00:00Z", ImplicitDeny},
	{"date not a date", allow(`"DateGreaterThan":{"k:t":"2026-01-02T00:00:00Z"}`), "x:y", "*", "k:t=soon", ImplicitDeny},
	{"date window", allow(`"DateGreaterThan":{"k:t":"2026-01-01"},"DateLessThan":{"k:t":"2026-02-01"}`), "x:y", "*", "k:t=2026-01-15", Allowed},

	// Bool, Null, binary.
	{"bool", allow(`"Bool":{"k:a":"true"}`), "x:y", "*", "k:a=true", Allowed},
	{"bool as bool", allow(`"Bool":{"k:a":true}`), "x:y", "*", "k:a=True", Allowed},
	{"bool no", allow(`"Bool":{"k:a":"true"}`), "x:y", "*", "k:a=false", ImplicitDeny},
	{"bool absent", allow(`"Bool":{"k:a":"false"}`), "x:y", "*", "", ImplicitDeny},
	{"null absent", allow(`"Null":{"k:a":"true"}`), "x:y", "*", "", Allowed},
	{"null present", allow(`"Null":{"k:a":"true"}`), "x:y", "*", "k:a=v", ImplicitDeny},
	{"not null present", allow(`"Null":{"k:a":"false"}`), "x:y", "*", "k:a=v", Allowed},
	{"not null absent", allow(`"Null":{"k:a":"false"}`), "x:y", "*", "", ImplicitDeny},
	{"null and not", `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Null":{"aws:MultiFactorAuthAge":false},"NumericLessThan":{"aws:MultiFactorAuthAge":3600}}}`, "x:y", "*", "aws:MultiFactorAuthAge=10", Allowed},
	{"binary", allow(`"BinaryEquals":{"k:a":"QmluYXJ5"}`), "x:y", "*", "k:a=QmluYXJ5", Allowed},
	{"binary no", allow(`"BinaryEquals":{"k:a":"QmluYXJ5"}`), "x:y", "*", "k:a=QmluYXJ6", ImplicitDeny},

	// Addresses.
	{"ip", allow(`"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}`), "x:y", "*", "aws:SourceIp=203.0.113.9", Allowed},
	{"ip no", allow(`"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}`), "x:y", "*", "aws:SourceIp=203.0.114.9", ImplicitDeny},
	{"ip single", allow(`"IpAddress":{"aws:SourceIp":"203.0.113.9"}`), "x:y", "*", "aws:SourceIp=203.0.113.9", Allowed},
	{"ip list", allow(`"IpAddress":{"aws:SourceIp":["10.0.0.0/8","203.0.113.9/32"]}`), "x:y", "*", "aws:SourceIp=203.0.113.9", Allowed},
	{"ip host bits", allow(`"IpAddress":{"aws:SourceIp":"203.0.113.77/24"}`), "x:y", "*", "aws:SourceIp=203.0.113.9", Allowed},
	{"ip v6", allow(`"IpAddress":{"aws:SourceIp":"2001:db8::/32"}`), "x:y", "*", "aws:SourceIp=2001:db8::1", Allowed},
	{"ip v6 no", allow(`"IpAddress":{"aws:SourceIp":"2001:db8::/32"}`), "x:y", "*", "aws:SourceIp=2001:db9::1", ImplicitDeny},
	{"ip mapped", allow(`"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}`), "x:y", "*", "aws:SourceIp=::ffff:203.0.113.9", Allowed},
	{"ip absent", allow(`"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}`), "x:y", "*", "", ImplicitDeny},
	{"not ip", allow(`"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}`), "x:y", "*", "aws:SourceIp=1.2.3.4", Allowed},
	{"not ip hit", allow(`"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}`), "x:y", "*", "aws:SourceIp=203.0.113.1", ImplicitDeny},

	// ARNs.
	{"arn equals", allow(`"ArnEquals":{"aws:SourceArn":"arn:aws:s3:::b"}`), "x:y", "*", "aws:SourceArn=arn:aws:s3:::b", Allowed},
	{"arn equals has wildcards", allow(`"ArnEquals":{"aws:SourceArn":"arn:aws:s3:::b*"}`), "x:y", "*", "aws:SourceArn=arn:aws:s3:::bucket", Allowed},
	{"arn like", allow(`"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:123456789012:*"}`), "x:y", "*", "aws:SourceArn=arn:aws:sns:eu-west-1:123456789012:t", Allowed},
	{"arn like no", allow(`"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:123456789012:*"}`), "x:y", "*", "aws:SourceArn=arn:aws:sns:eu-west-1:210987654321:t", ImplicitDeny},
	{"arn like not an arn", allow(`"ArnLike":{"aws:SourceArn":"*"}`), "x:y", "*", "aws:SourceArn=bucket", ImplicitDeny},
	{"arn not equals", allow(`"ArnNotEquals":{"aws:SourceArn":"arn:aws:s3:::b"}`), "x:y", "*", "aws:SourceArn=arn:aws:s3:::c", Allowed},
	{"arn not like hit", allow(`"ArnNotLike":{"aws:SourceArn":"arn:aws:s3:::b*"}`), "x:y", "*", "aws:SourceArn=arn:aws:s3:::bb", ImplicitDeny},
	{"arn not like absent", allow(`"ArnNotLike":{"aws:SourceArn":"arn:aws:s3:::b*"}`), "x:y", "*", "", Allowed},

	// Sets.
	{"for all subset", allow(`"ForAllValues:StringEquals":{"aws:TagKeys":["a","b","c"]}`), "x:y", "*", "aws:TagKeys=a,b", Allowed},
	{"for all one too many", allow(`"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}`), "x:y", "*", "aws:TagKeys=a,d", ImplicitDeny},
	{"for all absent", allow(`"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}`), "x:y", "*", "", Allowed},
	{"for all like", allow(`"ForAllValues:StringLike":{"aws:TagKeys":"team-*"}`), "x:y", "*", "aws:TagKeys=team-a,team-b", Allowed},
	{"for all negated", allow(`"ForAllValues:StringNotEquals":{"aws:TagKeys":["x"]}`), "x:y", "*", "aws:TagKeys=a,b", Allowed},
	{"for all negated hit", allow(`"ForAllValues:StringNotEquals":{"aws:TagKeys":["b"]}`), "x:y", "*", "aws:TagKeys=a,b", ImplicitDeny},
	{"for all if exists", allow(`"ForAllValues:StringEqualsIfExists":{"aws:TagKeys":["b"]}`), "x:y", "*", "", Allowed},
	{"for any", allow(`"ForAnyValue:StringEquals":{"aws:TagKeys":["b","z"]}`), "x:y", "*", "aws:TagKeys=a,b", Allowed},
	{"for any none", allow(`"ForAnyValue:StringEquals":{"aws:TagKeys":["z"]}`), "x:y", "*", "aws:TagKeys=a,b", ImplicitDeny},
	{"for any absent", allow(`"ForAnyValue:StringEquals":{"aws:TagKeys":["z"]}`), "x:y", "*", "", ImplicitDeny},
	{"for any negated", allow(`"ForAnyValue:StringNotEquals":{"aws:TagKeys":["a"]}`), "x:y", "*", "aws:TagKeys=a,b", Allowed},
	{"for any negated none", allow(`"ForAnyValue:StringNotEquals":{"aws:TagKeys":["a"]}`), "x:y", "*", "aws:TagKeys=a", ImplicitDeny},
	{"for any negated absent", allow(`"ForAnyValue:StringNotEquals":{"aws:TagKeys":["a"]}`), "x:y", "*", "", ImplicitDeny},
	{"for any arn", allow(`"ForAnyValue:ArnLike":{"k:arns":"arn:aws:s3:::b*"}`), "x:y", "*", "k:arns=arn:aws:s3:::a,arn:aws:s3:::bb", Allowed},
	{"for any number", allow(`"ForAnyValue:NumericGreaterThan":{"k:n":"5"}`), "x:y", "*", "k:n=1,9", Allowed},
	{"many values without a set operator", allow(`"StringEquals":{"aws:TagKeys":["b"]}`), "x:y", "*", "aws:TagKeys=a,b", Allowed},
	{"many values negated without a set operator", allow(`"StringNotEquals":{"aws:TagKeys":["b"]}`), "x:y", "*", "aws:TagKeys=a,b", ImplicitDeny},

	// Denies with conditions, as people write them.
	{"deny without tls", actionIs(`"*"`) + `,{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`, "x:y", "*", "aws:SecureTransport=false", ExplicitDeny},
	{"deny without tls spared", actionIs(`"*"`) + `,{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`, "x:y", "*", "aws:SecureTransport=true", Allowed},
	{"deny outside regions", actionIs(`"*"`) + `,{"Effect":"Deny","NotAction":["iam:*"],"Resource":"*","Condition":{"StringNotEquals":{"aws:RequestedRegion":["eu-west-1"]}}}`, "lambda:X", "*", "aws:RequestedRegion=us-east-1", ExplicitDeny},
	{"deny outside regions, global", actionIs(`"*"`) + `,{"Effect":"Deny","NotAction":["iam:*"],"Resource":"*","Condition":{"StringNotEquals":{"aws:RequestedRegion":["eu-west-1"]}}}`, "iam:X", "*", "aws:RequestedRegion=us-east-1", Allowed},
	{"deny without mfa", actionIs(`"*"`) + `,{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}}`, "x:y", "*", "", ExplicitDeny},
}

func parseContext(s string) Values {
	m := map[string][]string{}
	for part := range strings.SplitSeq(s, ";") {
		if k, v, ok := strings.Cut(part, "="); ok {
			m[k] = strings.Split(v, ",")
		}
	}
	return NewValues(m)
}

func mustParse(t testing.TB, text string) *Document {
	t.Helper()
	d, err := Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return d
}

var alice = Principal{Type: aws.PrincipalUser, Account: "000000000000", ARN: "arn:aws:iam::000000000000:user/alice"}

func TestEvaluateIdentity(t *testing.T) {
	if len(rows) < 150 {
		t.Errorf("%d rows", len(rows))
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			d := mustParse(t, `{"Version":"2012-10-17","Statement":[`+r.policy+`]}`)
			req := &Request{Principal: alice, Action: r.action, Resource: r.resource, Context: parseContext(r.context)}
			got := Evaluate(req, &Policies{Identity: []Source{{"p", d}}})
			if got.Outcome != r.want {
				t.Errorf("%s: got %v, want %v", r.policy, got, r.want)
			}
			explained, matches := Explain(req, &Policies{Identity: []Source{{"p", d}}})
			if explained != got || (len(matches) == 0) != (got.Outcome == ImplicitDeny) {
				t.Errorf("Explain: %v with %d matches", explained, len(matches))
			}
		})
	}
}

// Variables are part of version 2012-10-17 only.
func TestVariablesNeedTheirVersion(t *testing.T) {
	for _, head := range []string{`{`, `{"Version":"2008-10-17",`} {
		d := mustParse(t, head+`"Statement":`+resourceIs(`"arn:aws:s3:::${aws:username}"`)+`}`)
		req := &Request{Principal: alice, Action: "s3:X", Resource: "arn:aws:s3:::a", Context: parseContext("aws:username=a")}
		if got := Evaluate(req, &Policies{Identity: []Source{{"p", d}}}); got.Outcome != ImplicitDeny {
			t.Errorf("%s: %v", head, got)
		}
		req.Resource = "arn:aws:s3:::${aws:username}"
		if got := Evaluate(req, &Policies{Identity: []Source{{"p", d}}}); got.Outcome != Allowed {
			t.Errorf("%s: literally: %v", head, got)
		}
	}
}

func BenchmarkEvaluate(b *testing.B) {
	d := mustParse(b, `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["logs:*","s3:Get*"],"Resource":"*"},
		{"Effect":"Deny","Action":"lambda:DeleteFunction","Resource":"*"},
		{"Effect":"Allow","Action":["lambda:InvokeFunction","lambda:GetFunction"],"Resource":"arn:aws:lambda:*:000000000000:function:a*",
		 "Condition":{"StringEquals":{"aws:PrincipalTag/team":"red"},"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}}]}`)
	req := &Request{Principal: alice, Action: "lambda:InvokeFunction", Resource: fn, Context: parseContext("aws:principaltag/team=red;aws:sourceip=127.0.0.1")}
	pol := &Policies{Identity: []Source{{"p", d}}}
	b.ReportAllocs()
	for b.Loop() {
		if Evaluate(req, pol).Outcome != Allowed {
			b.Fatal("denied")
		}
	}
}
