package story

import (
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambdad/lambdad/test/house"
)

// TestJavaClassData: a Java that begins with an archive of its client's classes serves like another, says nothing of it, and
// takes a function's own archive or cache in its place.
func TestJavaClassData(t *testing.T) {
	client := house.Start(t).Client(t)
	for name, runtime := range map[string]types.Runtime{"java17": types.RuntimeJava17, "java21": types.RuntimeJava21, "java25": "java25"} {
		t.Run(name, func(t *testing.T) {
			c := client.With(t)
			for i, options := range []string{"", "-XX:SharedArchiveFile=/opt/absent.jsa", "-XX:AOTCache=/opt/absent.aot"} {
				if i == 2 && (name != "java25" || javaVersion(c, runtime) < 24) {
					continue // older ones do not know it, and the nearest that a machine has may be older
				}
				in := lambda.CreateFunctionInput{FunctionName: aws.String(name + []string{"", "-cds", "-aot"}[i]), Runtime: runtime, Handler: aws.String("java.lang.Integer::bitCount"),
					MemorySize: aws.Int32(512), Timeout: aws.Int32(30)}
				if options != "" {
					in.Environment = &types.Environment{Variables: map[string]string{"JAVA_TOOL_OPTIONS": options}}
				}
				function := c.Function(in, map[string]string{"nothing.txt": "the handler is the JDK's"})
				answer := c.Invoke(function, "7")
				if answer.FunctionError != "" || answer.Payload != "3" {
					t.Errorf("%q: %+v", options, answer)
				}
				if options != "" {
					continue
				}
				for _, line := range c.LogLines(function, "REPORT")[1:] {
					if line[0] == '[' {
						t.Errorf("the JVM says %q", line)
					}
				}
			}
		})
	}
}

// javaVersion is the version of the JVM that runs the runtime here, 25 say.
func javaVersion(c *house.Client, runtime types.Runtime) int {
	function := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String(string(runtime) + "-version"), Runtime: runtime,
		Handler: aws.String("java.lang.System::getProperty"), MemorySize: aws.Int32(512), Timeout: aws.Int32(30)}, map[string]string{"nothing.txt": "the handler is the JDK's"})
	version, _ := strconv.Atoi(strings.Trim(c.Invoke(function, `"java.specification.version"`).Payload, `"`))
	return version
}
