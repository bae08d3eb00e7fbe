package managed

import (
	"testing"

	"github.com/lambdad/lambdad/internal/iam/policy"
)

func TestEveryPolicyIsOne(t *testing.T) {
	all := List()
	if len(all) < 20 {
		t.Errorf("%d policies", len(all))
	}
	ids := map[string]bool{}
	for _, p := range all {
		if _, err := policy.ParseFor(policy.KindManaged, p.Document); err != nil {
			t.Errorf("%s: %v", p.ARN, err)
		}
		if len(p.ID) != 21 || ids[p.ID] || p.Version == "" || p.Created.IsZero() {
			t.Errorf("%s: id %q, version %q", p.ARN, p.ID, p.Version)
		}
		ids[p.ID] = true
	}
	if _, ok := Find("arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"); !ok {
		t.Error("no AWSLambdaBasicExecutionRole")
	}
	if _, ok := Find("arn:aws:iam::aws:policy/AWSLambdaBasicExecutionRole"); ok {
		t.Error("found at the wrong path")
	}
}
