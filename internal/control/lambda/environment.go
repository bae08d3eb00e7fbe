package lambda

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// environmentBytesMax bounds all variables of a function together. Source:
// Lambda quotas, "Function environment variables: 4 KB for all environment
// variables associated with the function, in aggregate".
const environmentBytesMax = 4096

// reservedVariables cannot be set by a function's configuration. Source: Lambda
// developer guide, "Defined runtime environment variables", the reserved ones.
func reservedVariables() []string {
	return []string{
		"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV",
		"AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION",
		"AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
		"AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
		"AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_METADATA_API", "AWS_LAMBDA_METADATA_TOKEN",
		"AWS_LAMBDA_MAX_CONCURRENCY", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
	}
}

func checkEnvironment(variables map[string]string) error {
	var reserved []string
	for name := range variables {
		if slices.Contains(reservedVariables(), name) {
			reserved = append(reserved, name)
		}
	}
	if len(reserved) > 0 {
		slices.Sort(reserved)
		return invalid("Lambda was unable to configure your environment variables because the environment variables you have provided contains "+
			"reserved keys that are currently not supported for modification. Reserved keys used in this request: %s", strings.Join(reserved, ", "))
	}
	// AWS measures the variables as the JSON that it stores, and shows it.
	measured, err := json.Marshal(variables)
	if err != nil {
		return fmt.Errorf("measure environment: %w", err)
	}
	if len(measured) > environmentBytesMax {
		return invalid("Lambda was unable to configure your environment variables because the environment variables you have provided exceeded "+
			"the 4KB limit. String measured: %s", measured)
	}
	return nil
}
