package api_test

import (
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/api/iam"
	"github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/api/logs"
	"github.com/lambdad/lambdad/internal/wire"
	"github.com/lambdad/lambdad/internal/wire/constraint"
	"github.com/lambdad/lambdad/internal/wire/shape"
)

// TestRecordedViolations holds the texts to those that AWS was recorded with.
func TestRecordedViolations(t *testing.T) {
	p := func(s string) *string { return &s }
	role := p("arn:aws:iam::111111111111:role/r")
	function := func(edit func(*lambda.CreateFunctionRequest)) *lambda.CreateFunctionRequest {
		in := &lambda.CreateFunctionRequest{FunctionName: p("f"), Role: role, Code: &lambda.FunctionCode{}}
		edit(in)
		return in
	}
	alias := func(weights map[string]float64) *lambda.CreateAliasRequest {
		return &lambda.CreateAliasRequest{FunctionName: p("f"), FunctionVersion: p("1"), Name: p("a"),
			RoutingConfig: &lambda.AliasRoutingConfiguration{AdditionalVersionWeights: weights}}
	}
	transformations := []logs.MetricTransformation{
		{MetricName: p("metric1"), MetricNamespace: p("namespace1"), MetricValue: p("1")},
		{MetricName: p("metric2"), MetricNamespace: p("namespace2"), MetricValue: p("1")},
	}
	const (
		valueLimits = "Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must have value greater than or equal to 0.0, Member must not be null]"
		keyLimits   = "Map keys must satisfy constraint: [Member must have length less than or equal to 1024, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+]"
	)
	for _, tc := range []struct {
		name string
		in   shape.Structure
		hide bool
		want string
	}{
		{"pattern", function(func(in *lambda.CreateFunctionRequest) { in.Role = p("r1") }), false,
			`Value 'r1' at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+`},
		{"list too long", function(func(in *lambda.CreateFunctionRequest) { in.Architectures = []string{"x86_64", "arm64"} }), false,
			`Value '[x86_64, arm64]' at 'architectures' failed to satisfy constraint: Member must have length less than or equal to 1`},
		{"enum elements", function(func(in *lambda.CreateFunctionRequest) { in.Architectures = []string{"X86_64"} }), false,
			`Value '[X86_64]' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]`},
		{"nested list", function(func(in *lambda.CreateFunctionRequest) {
			in.VpcConfig = &lambda.VpcConfig{SecurityGroupIds: []string{"x"}}
		}), false, `Value '[x]' at 'vpcConfig.securityGroupIds' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 1024, Member must have length greater than or equal to 0, Member must satisfy regular expression pattern: sg-[0-9a-zA-Z]*]`},
		{"enum order", &lambda.CreateFunctionUrlConfigRequest{FunctionName: p("f"), AuthType: p("NONE"), InvokeMode: p("UNKNOWN")}, false,
			`Value 'UNKNOWN' at 'invokeMode' failed to satisfy constraint: Member must satisfy enum value set: [RESPONSE_STREAM, BUFFERED]`},
		{"enum order of positions", &lambda.CreateEventSourceMappingRequest{FunctionName: p("f"), StartingPosition: p("invalid")}, false,
			`Value 'invalid' at 'startingPosition' failed to satisfy constraint: Member must satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]`},
		{"lookahead", &lambda.CreateAliasRequest{FunctionName: p("f"), FunctionVersion: p("1"), Name: p("2024")}, false,
			`Value '2024' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)`},
		{"inner lookahead", &lambda.GetFunctionUrlConfigRequest{FunctionName: p("f"), Qualifier: p("$LATEST")}, false,
			`Value '$LATEST' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: ((?!^\d+$)^[0-9a-zA-Z-_]+$)`},
		{"map value too small", alias(map[string]float64{"2": -1}), false, `Value '{2=-1.0}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: ` + valueLimits},
		{"map value too large", alias(map[string]float64{"2": 2}), false, `Value '{2=2.0}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: ` + valueLimits},
		{"map key", alias(map[string]float64{"$LATEST": 0.5}), false, `Value '{$LATEST=0.5}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: ` + keyLimits},
		{"number", &lambda.PutProvisionedConcurrencyConfigRequest{FunctionName: p("f"), Qualifier: p("1"), ProvisionedConcurrentExecutions: wire.Ptr[int32](0)}, false,
			`Value '0' at 'provisionedConcurrentExecutions' failed to satisfy constraint: Member must have value greater than or equal to 1`},
		{"layer", &lambda.GetLayerVersionByArnRequest{Arn: p("arn:aws:lambda:us-east-1:111111111111:layer:l")}, false,
			`Value 'arn:aws:lambda:us-east-1:111111111111:layer:l' at 'arn' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+)`},
		{"hidden value", &iam.DeleteServiceSpecificCredentialRequest{ServiceSpecificCredentialId: p("totally-wrong-credential-id-with-hyphens")}, true,
			`Value at 'serviceSpecificCredentialId' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w]+`},
		{"string too long", &logs.DescribeMetricFiltersRequest{FilterNamePrefix: p(strings.Repeat("X", 513))}, false,
			`Value '` + strings.Repeat("X", 513) + `' at 'filterNamePrefix' failed to satisfy constraint: Member must have length less than or equal to 512`},
		{"structures", &logs.PutMetricFilterRequest{LogGroupName: p("g"), FilterName: p("f"), FilterPattern: p(""), MetricTransformations: transformations}, false,
			`Value '[MetricTransformation(metricName=metric1, metricNamespace=namespace1, metricValue=1, defaultValue=null, unit=null, dimensions=null), MetricTransformation(metricName=metric2, metricNamespace=namespace2, metricValue=1, defaultValue=null, unit=null, dimensions=null)]' at 'metricTransformations' failed to satisfy constraint: Member must have length less than or equal to 1`},
		{"element of a list of structures", &iam.TagRoleRequest{RoleName: p("r"), Tags: []iam.Tag{{Key: p("k"), Value: p("v")}, {Key: p("bad*key"), Value: p("v")}}}, true,
			`Value at 'tags.2.member.key' failed to satisfy constraint: Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]+`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			violations := constraint.Check(tc.in)
			if want := "1 validation error detected: " + tc.want; len(violations) != 1 || constraint.Message(violations, tc.hide) != want {
				t.Errorf("got  %s\nwant %s", constraint.Message(violations, tc.hide), want)
			}
		})
	}
}

// TestPatternsCompile compiles every pattern: a process does it on first use.
func TestPatternsCompile(t *testing.T) {
	services := []*wire.Service{lambda.NewService(lambda.Handlers{}), iam.NewService(iam.Handlers{}), logs.NewService(logs.Handlers{})}
	n := 0
	var visit func(m *shape.Member)
	visit = func(m *shape.Member) {
		if m == nil {
			return
		}
		if m.Limits != nil && m.Limits.Pattern != nil {
			m.Limits.Pattern.Matches("x")
			n++
		}
		visit(m.Element)
		visit(m.Key)
		visit(m.Value)
	}
	for _, s := range services {
		for i := range s.Operations {
			schema := s.Operations[i].NewInput().WireSchema()
			for j := range schema.Members {
				visit(&schema.Members[j])
			}
		}
	}
	if n < 300 {
		t.Errorf("only %d patterns seen", n)
	}
}
