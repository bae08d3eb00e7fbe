package compat

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/lambdad/lambdad/test/house"
)

// TestGoSDK creates, invokes, updates and deletes a Go function on provided.al2023 with the
// AWS SDK for Go; the function itself calls lambdad with its role's credentials.
func TestGoSDK(t *testing.T) {
	h := house.Start(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cfg := h.SDKConfig(t)

	identity, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, nil)
	if err != nil || *identity.Account != "000000000000" {
		t.Fatalf("caller %v, %v", identity, err)
	}
	roles := iam.NewFromConfig(cfg)
	role, err := roles.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("gosdk"), AssumeRolePolicyDocument: aws.String(trustPolicy)})
	if err != nil {
		t.Fatal(err)
	}

	client := lambda.NewFromConfig(cfg)
	name := aws.String("whoami")
	created, err := client.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: name, Runtime: types.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Role: role.Role.Arn,
		Code: &types.FunctionCode{ZipFile: buildFunction(t, "whoami")}, Timeout: aws.Int32(20), MemorySize: aws.Int32(256),
	})
	if err != nil {
		t.Fatal(err)
	}
	if created.State != types.StatePending {
		t.Errorf("state %s after create", created.State)
	}
	if err := lambda.NewFunctionActiveV2Waiter(client).Wait(ctx, &lambda.GetFunctionInput{FunctionName: name}, time.Minute); err != nil {
		t.Fatal(err)
	}

	ask := func() map[string]string {
		t.Helper()
		out, err := client.Invoke(ctx, &lambda.InvokeInput{FunctionName: name, LogType: types.LogTypeTail})
		if err != nil {
			t.Fatal(err)
		}
		if out.FunctionError != nil {
			t.Fatalf("%s: %s\n%s", *out.FunctionError, out.Payload, decodeBase64(t, *out.LogResult))
		}
		var answer map[string]string
		if err := json.Unmarshal(out.Payload, &answer); err != nil {
			t.Fatal(err)
		}
		return answer
	}
	if got := ask(); got["arn"] != "arn:aws:sts::000000000000:assumed-role/gosdk/whoami" || got["list"] != "AccessDeniedException" {
		t.Errorf("without a policy: %v", got)
	}
	_, err = roles.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String("gosdk"), PolicyName: aws.String("list"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"lambda:ListFunctions","Resource":"*"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(); got["list"] != "allowed" {
		t.Errorf("with a policy: %v", got)
	}

	updated, err := client.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: name, MemorySize: aws.Int32(512)})
	if err != nil || updated.LastUpdateStatus != types.LastUpdateStatusInProgress {
		t.Fatalf("update: %v, %v", updated, err)
	}
	if err := lambda.NewFunctionUpdatedV2Waiter(client).Wait(ctx, &lambda.GetFunctionInput{FunctionName: name}, time.Minute); err != nil {
		t.Fatal(err)
	}
	ask()

	// A line is written beside the answer's way to the client.
	logs := cloudwatchlogs.NewFromConfig(cfg)
	for found := 0; found == 0; time.Sleep(50 * time.Millisecond) {
		page, err := logs.FilterLogEvents(ctx, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/whoami"), FilterPattern: aws.String(`"Memory Size: 512 MB"`)})
		if err != nil {
			t.Fatalf("REPORT lines of the new size: %v", err)
		}
		found = len(page.Events)
	}

	if _, err := client.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: name}); err != nil {
		t.Fatal(err)
	}
	_, err = client.Invoke(ctx, &lambda.InvokeInput{FunctionName: name})
	var notFound *types.ResourceNotFoundException
	if !errors.As(err, &notFound) || !strings.HasSuffix(*notFound.Message, "function:whoami:$LATEST") {
		t.Errorf("invoke of the deleted function: %v", err)
	}
}

// buildFunction compiles testdata/functions/NAME as a deployment package with a bootstrap.
func buildFunction(t *testing.T, name string) []byte {
	t.Helper()
	bootstrap := filepath.Join(t.TempDir(), "bootstrap")
	cmd := exec.Command("go", "build", "-trimpath", "-o", bootstrap, "./testdata/functions/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return house.Zip(t, map[string]string{"bootstrap*": string(mustRead(t, bootstrap))})
}
