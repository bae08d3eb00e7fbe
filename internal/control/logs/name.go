package logs

import (
	"strings"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/telemetry/logs"
	"github.com/lambdad/lambdad/internal/wire"
)

const groupResource = "log-group:"

// groupARN is a group's ARN as tags and DescribeLogGroups' logGroupArn have it;
// its arn, and most policies, end in ":*".
func groupARN(s logs.Scope, name string) string {
	return aws.ARN{
		Partition: s.Region.Partition(), Service: "logs", Region: s.Region, Account: s.Account,
		Resource: groupResource + name,
	}.String()
}

func streamARN(s logs.Scope, group, stream string) string {
	return groupARN(s, group) + ":log-stream:" + stream
}

// groupOfARN returns the name in the ARN of one of the scope's groups.
func groupOfARN(s logs.Scope, text string) (string, bool) {
	arn, err := aws.ParseARN(text)
	if err != nil || arn.Service != "logs" || arn.Region != s.Region || arn.Account != s.Account {
		return "", false
	}
	name, ok := strings.CutPrefix(arn.Resource, groupResource)
	return name, ok && name != "" && !strings.Contains(name, ":")
}

// groupOf returns the group that a request names by its name or by an
// identifier, which is a name or an ARN.
func groupOf(call *wire.Call, name, identifier *string) (string, error) {
	switch {
	case name != nil && identifier != nil:
		return "", invalid("LogGroup name and LogGroup identifier are mutually exclusive parameters.")
	case name != nil:
		return *name, nil
	case identifier == nil:
		return "", invalid("Either LogGroup name or LogGroup identifier must be specified.")
	case !strings.HasPrefix(*identifier, "arn:"):
		return *identifier, nil
	}
	group, ok := groupOfARN(scopeOf(call), *identifier)
	if !ok {
		return "", fault(logs.ErrGroupNotFound)
	}
	return group, nil
}
