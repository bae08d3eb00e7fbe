package logs

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/telemetry/logs"
)

const denyAll = `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"logs:PutLogEvents","Resource":"*"}}`

func TestResourcePolicies(t *testing.T) {
	a := &asked{}
	h := newHouse(t, a)
	for i := range logs.PoliciesMax {
		h.must("PutResourcePolicy", object{"policyName": fmt.Sprint("p", i), "policyDocument": denyAll})
	}
	h.must("PutResourcePolicy", object{"policyName": "p0", "policyDocument": denyAll}) // the same
	for name, c := range map[string]struct {
		in         object
		code, text string
	}{
		"too many":   {object{"policyName": "p", "policyDocument": denyAll}, "LimitExceededException", "Resource limit exceeded."},
		"malformed":  {object{"policyName": "p", "policyDocument": "{"}, "InvalidParameterException", "malformed"},
		"no name":    {object{"policyDocument": denyAll}, "InvalidParameterException", "PolicyName"},
		"of a group": {object{"policyName": "p", "policyDocument": denyAll, "resourceArn": "arn:aws:logs:us-east-1:111111111111:log-group:g"}, "InvalidParameterException", "not supported here"},
	} {
		if code, text := h.refused("PutResourcePolicy", c.in); code != c.code || !strings.Contains(text, c.text) {
			t.Errorf("%s: %s: %s", name, code, text)
		}
	}
	page := h.must("DescribeResourcePolicies", object{"limit": 4})
	rest := h.must("DescribeResourcePolicies", object{"nextToken": page["nextToken"]})
	if len(page["resourcePolicies"].([]any)) != 4 || len(rest["resourcePolicies"].([]any)) != logs.PoliciesMax-4 || rest["nextToken"] != nil {
		t.Errorf("%v, %v", page, rest)
	}
	if !strings.HasSuffix(a.last, fmt.Sprint(logs.PoliciesMax, " policies")) {
		t.Errorf("asked %s", a.last)
	}
	h.must("DeleteResourcePolicy", object{"policyName": "p1"})
	if code, _ := h.refused("DeleteResourcePolicy", object{"policyName": "p1"}); code != "ResourceNotFoundException" {
		t.Error(code)
	}
}

// policies asks what was recorded of resource policies, with their documents decoded as the recorder did.
func (h *house) policies(operation string, in object) object {
	h.Helper()
	answer := h.ask(operation, in)
	decode := func(p any) {
		if p, ok := p.(object); ok {
			var document any
			if err := json.Unmarshal([]byte(p["policyDocument"].(string)), &document); err != nil {
				h.Fatal(err)
			}
			p["policyDocument"] = document
		}
	}
	decode(answer["resourcePolicy"])
	all, _ := answer["resourcePolicies"].([]any)
	for _, p := range all {
		decode(p)
	}
	return answer
}
