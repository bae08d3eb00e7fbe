package worker

import (
	"slices"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/telemetry"
)

// TestVariablesOfRuntimes holds what the recorded test_introspection_invoke shows to differ
// between runtimes.
func TestVariablesOfRuntimes(t *testing.T) {
	const path, libraries = "/usr/local/bin:/usr/bin/:/bin:/opt/bin", "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
	for name, tc := range map[string]struct{ has, lacks []string }{
		"python3.13":      {[]string{"PYTHONPATH=/var/runtime", "PWD=/var/task", "SHLVL=0", "PATH=/var/lang/bin:" + path, "LD_LIBRARY_PATH=/var/lang/lib:" + libraries}, nil},
		"nodejs22.x":      {[]string{"NODE_PATH=/opt/nodejs/node22/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task", "AWS_EXECUTION_ENV=AWS_Lambda_nodejs22.x"}, []string{"PYTHONPATH"}},
		"provided.al2023": {[]string{"PATH=/var/lang/bin:" + path, "LD_LIBRARY_PATH=/var/lang/lib:" + libraries, "TZ=:UTC"}, []string{"AWS_EXECUTION_ENV", "PWD", "SHLVL"}},
		"provided.al2":    {[]string{"PATH=" + path, "LD_LIBRARY_PATH=" + libraries}, []string{"AWS_EXECUTION_ENV", "PWD", "SHLVL"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := variablesOf(&record.Function{Runtime: name}, Runtime{}, telemetry.LogStreamID{}, TemporaryCredentials{}, initializationOnDemand)
			for _, v := range tc.has {
				if !slices.Contains(got, v) {
					t.Errorf("%s is not in %q", v, got)
				}
			}
			for _, n := range tc.lacks {
				if slices.ContainsFunc(got, func(v string) bool { return strings.HasPrefix(v, n+"=") }) {
					t.Errorf("%s is in %q", n, got)
				}
			}
		})
	}
}
