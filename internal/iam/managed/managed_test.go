package managed

import (
	"testing"

	"github.com/lambdad/lambdad/internal/iam/policy"
)

func TestEveryPolicyIsOne(t *testing.T) {
	all := List()
	if len(all) < 1400 {
		t.Errorf("%d policies", len(all))
	}
	ids := map[string]bool{}
	for _, p := range all {
		whole, ok := Find(p.ARN)
		if !ok {
			t.Errorf("%s is listed and not found", p.ARN)
		}
		if _, err := policy.ParseFor(policy.KindManaged, whole.Document); err != nil {
			t.Errorf("%s: %v", p.ARN, err)
		}
		if len(p.ID) != 21 || ids[p.ID] || p.Version == "" || p.Created.IsZero() {
			t.Errorf("%s: id %q, version %q", p.ARN, p.ID, p.Version)
		}
		ids[p.ID] = true
	}
	// Ids are AWS's own, the same in every account.
	for arn, id := range map[string]string{
		"arn:aws:iam::aws:policy/AdministratorAccess":                    "ANPAIWMBCKSKIEE64ZLYK",
		"arn:aws:iam::aws:policy/AWSLambda_FullAccess":                   "ANPAZKAPJZG4OXQPYWZ5D",
		"arn:aws:iam::aws:policy/AmazonSQSFullAccess":                    "ANPAI65L554VRJ33ECQS6",
		"arn:aws:iam::aws:policy/PowerUserAccess":                        "ANPAJYRXTHIB4FOVS3ZXS",
		"arn:aws:iam::aws:policy/service-role/AWSLambdaMSKExecutionRole": "ANPAZKAPJZG4FHMXOHIS5",
	} {
		if p, ok := Find(arn); !ok || p.ID != id {
			t.Errorf("%s has the id %s, want %s", arn, p.ID, id)
		}
	}
	if _, ok := Find("arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"); !ok {
		t.Error("no AWSLambdaBasicExecutionRole")
	}
	if _, ok := Find("arn:aws:iam::aws:policy/AWSLambdaBasicExecutionRole"); ok {
		t.Error("found at the wrong path")
	}
}
