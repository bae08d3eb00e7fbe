package lambda

import (
	"slices"
	"strings"

	"github.com/lambdad/lambdad/internal/artifact/runtimes"
)

// supportedRuntimes are the identifiers that CreateFunction takes, in the order
// in which AWS's error names them (recorded: test_create_lambda_exceptions of
// 2026-01), and after them the newer ones of the pinned model.
func supportedRuntimes() []string {
	return []string{
		"nodejs20.x", "python3.14", "provided.al2023", "python3.12", "python3.13", "nodejs24.x", "nodejs22.x", "java25",
		"python3.10", "python3.11", "java21", "ruby3.3", "ruby3.4", "ruby3.2", "python3.8", "python3.9", "java17",
		"nodejs16.x", "dotnet10", "dotnet8", "java11", "dotnet6", "nodejs18.x", "provided.al2", "java8.al2",
		"ruby4.0",
	}
}

// checkRuntime refuses identifiers that AWS no longer or never knew.
func checkRuntime(runtime string) error {
	if slices.Contains(supportedRuntimes(), runtime) {
		return nil
	}
	if _, known := runtimes.Lookup(runtime); known {
		return invalid("The runtime parameter of %s is no longer supported for creating or updating AWS Lambda functions. "+
			"We recommend you use a supported runtime while creating or updating functions.", runtime)
	}
	return invalid("Value %s at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [%s] or be a valid ARN",
		runtime, strings.Join(supportedRuntimes(), ", "))
}
