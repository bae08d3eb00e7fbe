package record

import (
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
)

// CodeSigningConfig says whose code functions may be given. Its key is its id.
type CodeSigningConfig struct {
	Description string            `json:"desc,omitempty"`
	Publishers  []string          `json:"pub"` // ARNs of versions of signing profiles
	Enforce     bool              `json:"enf,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Modified    time.Time         `json:"mod"`
}

// CodeSigningConfigs are kept in this form.
var CodeSigningConfigs = ScopedKind[CodeSigningConfig]("codesigning", 1)

// FunctionCodeSigning is the config that a function has. Its key is the function with Latest.
type FunctionCodeSigning struct {
	ARN string `json:"arn"`
}

// FunctionCodeSignings are kept in this form.
var FunctionCodeSignings = QualifiedKind[FunctionCodeSigning]("functionsigning", 1)

const codeSigningResource = "code-signing-config:"

// CodeSigningARN is a code signing config's ARN.
func CodeSigningARN(key Scoped) string {
	return aws.ARN{Partition: key.Region.Partition(), Service: "lambda", Region: key.Region, Account: key.Account, Resource: codeSigningResource + key.Name}.String()
}

// ParseCodeSigningARN is its inverse.
func ParseCodeSigningARN(s string) (Scoped, bool) {
	arn, err := aws.ParseARN(s)
	id, ok := strings.CutPrefix(arn.Resource, codeSigningResource)
	if err != nil || !ok || arn.Service != "lambda" || !strings.HasPrefix(id, "csc-") || strings.Contains(id, "/") {
		return Scoped{}, false
	}
	return Scoped{Scope{arn.Account, arn.Region}, id}, true
}
