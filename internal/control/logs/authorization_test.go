package logs

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/wire"
)

// asked notes what it is asked and denies if it is told to.
type asked struct {
	mu   sync.Mutex
	last string
	deny bool
}

func (a *asked) AuthorizeAccess(_ context.Context, _ *wire.Call, access iam.Access) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = fmt.Sprint(access.Action, " [", access.Resource, "] ", access.Conditions)
	if n := len(access.ResourcePolicies); n > 0 {
		a.last += fmt.Sprint(" ", n, " policies")
	}
	if a.deny {
		return wire.NewFault(400, "AccessDeniedException", "denied")
	}
	return nil
}

func TestAuthorization(t *testing.T) {
	a := &asked{}
	h := newHouse(t, a)
	h.stream("g", "s")
	h.must("TagLogGroup", object{"logGroupName": "g", "tags": object{"team": "x"}})
	h.must("CreateLogGroup", object{"logGroupName": "tagged", "tags": object{"a": "b"}})
	if want := "logs:TagResource [arn:aws:logs:us-east-1:111111111111:log-group:tagged] map[aws:RequestTag/a:[b] aws:TagKeys:[a]]"; a.last != want {
		t.Errorf("a tagged group was created after asking for\n%s, want\n%s", a.last, want)
	}
	a.deny = true
	const group = "arn:aws:logs:us-east-1:111111111111:log-group:g"
	const tag = "map[aws:ResourceTag/team:[x]]"
	for _, c := range []struct {
		operation string
		in        object
		want      string
	}{
		{"CreateLogGroup", object{"logGroupName": "n", "tags": object{"a": "b"}},
			"logs:CreateLogGroup [arn:aws:logs:us-east-1:111111111111:log-group:n:log-stream:] map[aws:RequestTag/a:[b] aws:TagKeys:[a]]"},
		{"DeleteLogGroup", object{"logGroupName": "g"}, "logs:DeleteLogGroup [" + group + ":log-stream:] " + tag},
		{"DescribeLogGroups", object{}, "logs:DescribeLogGroups [arn:aws:logs:us-east-1:111111111111:log-group::log-stream:] map[]"},
		{"DescribeLogStreams", object{"logGroupIdentifier": group}, "logs:DescribeLogStreams [" + group + ":log-stream:] " + tag},
		{"FilterLogEvents", object{"logGroupName": "g"}, "logs:FilterLogEvents [" + group + ":log-stream:] " + tag},
		{"GetLogEvents", object{"logGroupIdentifier": group, "logStreamName": "s"}, "logs:GetLogEvents [" + group + ":log-stream:s] " + tag},
		{"PutLogEvents", object{"logGroupName": "g", "logStreamName": "s", "logEvents": []object{h.event(0, "x")}},
			"logs:PutLogEvents [" + group + ":log-stream:s] " + tag},
		{"GetLogEvents", object{"logGroupIdentifier": "arn:aws:logs:us-east-1:222222222222:log-group:g", "logStreamName": "s"},
			"logs:GetLogEvents [arn:aws:logs:us-east-1:222222222222:log-group:g] map[]"},
		{"TagResource", object{"resourceArn": group, "tags": object{"a": "b"}},
			"logs:TagResource [" + group + "] map[aws:RequestTag/a:[b] aws:ResourceTag/team:[x] aws:TagKeys:[a]]"},
		{"UntagLogGroup", object{"logGroupName": "g", "tags": []string{"team"}},
			"logs:UntagLogGroup [" + group + "] map[aws:ResourceTag/team:[x] aws:TagKeys:[team]]"},
		{"ListTagsForResource", object{"resourceArn": "x"}, "logs:ListTagsForResource [x] map[]"},
		{"TestMetricFilter", object{"filterPattern": "", "logEventMessages": []string{"x"}}, "logs:TestMetricFilter [*] map[]"},
		{"DescribeMetricFilters", object{"logGroupName": "g"}, "logs:DescribeMetricFilters [" + group + ":log-stream:] " + tag},
	} {
		if code, _ := h.refused(c.operation, c.in); code != "AccessDeniedException" {
			t.Errorf("%s: %s", c.operation, code)
		}
		if a.last != c.want {
			t.Errorf("%s asked for\n%s, want\n%s", c.operation, a.last, c.want)
		}
	}
}
