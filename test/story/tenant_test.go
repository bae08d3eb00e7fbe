package story

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambdad/lambdad/test/house"
)

// TestTenants keeps what one tenant's invokes left behind from every other tenant.
func TestTenants(t *testing.T) {
	h := house.Start(t)
	c := h.Client(t)
	name := c.Function(lambda.CreateFunctionInput{
		FunctionName:  aws.String("tenants"),
		TenancyConfig: &types.TenancyConfig{TenantIsolationMode: types.TenantIsolationModePerTenant},
	}, map[string]string{"app.py": `
seen = []

def handler(event, context):
    seen.append(context.tenant_id)
    return seen
`})
	invoke := func(tenant string) ([]string, error) {
		in := &lambda.InvokeInput{FunctionName: &name}
		if tenant != "" {
			in.TenantId = &tenant
		}
		out, err := c.Lambda.Invoke(t.Context(), in)
		if err != nil {
			return nil, err
		}
		var seen []string
		if err := json.Unmarshal(out.Payload, &seen); err != nil {
			t.Fatalf("%s: %v", out.Payload, err)
		}
		return seen, nil
	}
	for range 3 {
		for _, tenant := range []string{"blue", "green"} {
			seen, err := invoke(tenant)
			if err != nil {
				t.Fatal(err)
			}
			for _, other := range seen {
				if other != tenant {
					t.Errorf("an environment of %s served %v", tenant, seen)
				}
			}
		}
	}
	if seen, err := invoke("blue"); err != nil || len(seen) < 2 {
		t.Errorf("a tenant's own environment was not used again: %v, %v", seen, err)
	}
	if _, err := invoke(""); err == nil || !strings.Contains(err.Error(), "Add a valid tenant ID") {
		t.Errorf("without a tenant: %v", err)
	}
}
