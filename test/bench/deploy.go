package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
)

// clockLanguage builds the function in testdata/clock.
func clockLanguage(ctx context.Context, dir string) (language, error) {
	l := language{name: "Go", runtime: types.RuntimeProvidedal2023, handler: "bootstrap", dir: filepath.Join(dir, "clock")}
	return l, buildBootstrap(ctx, l.dir, "./test/bench/testdata/clock")
}

// buildBootstrap builds a Go program as a custom runtime's bootstrap in dir.
func buildBootstrap(ctx context.Context, dir, program string) error {
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", filepath.Join(dir, "bootstrap"), program)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", program, err, text)
	}
	return nil
}

// deploy creates a function and waits until it may be invoked.
func (c *caller) deploy(ctx context.Context, name string, l language) error {
	code, err := zipDir(l.dir, "")
	if err != nil {
		return err
	}
	if err := c.create(ctx, name, l, code); err != nil {
		return err
	}
	return c.waitActive(ctx, name)
}

// allow gives the functions' role rights.
func (c *caller) allow(ctx context.Context, actions string) error {
	_, err := iam.NewFromConfig(c.config).PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String("bench"), PolicyName: aws.String("bench"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + actions + `","Resource":"*"}]}`)})
	return err
}

// createQueue creates a queue and returns its URL and ARN.
func (c *caller) createQueue(ctx context.Context, name string) (url, arn string, err error) {
	out, err := awssqs.NewFromConfig(c.config).CreateQueue(ctx, &awssqs.CreateQueueInput{QueueName: &name, Attributes: map[string]string{"VisibilityTimeout": "180"}})
	if err != nil {
		return "", "", err
	}
	return *out.QueueUrl, "arn:aws:sqs:" + region + ":000000000000:" + name, nil
}

// signed makes a request to the Lambda API.
func (c *caller) signed(ctx context.Context, method, path string, payload []byte, header ...string) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.server.endpoint+path, bytes.NewReader(payload))
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	sum := sha256.Sum256(payload)
	return request, c.signer.SignHTTP(ctx, c.keys, request, hex.EncodeToString(sum[:]), "lambda", region, time.Now())
}

// send makes one asynchronous invoke and returns when it is acknowledged.
func (c *caller) send(ctx context.Context, name string, payload []byte) error {
	request, err := c.signed(ctx, http.MethodPost, "/2015-03-31/functions/"+name+"/invocations", payload, "X-Amz-Invocation-Type", "Event")
	if err != nil {
		return err
	}
	got, _, err := c.kept.do(request)
	if err != nil {
		return err
	}
	if got.status != http.StatusAccepted {
		return fmt.Errorf("send to %s: %d: %s", name, got.status, got.body)
	}
	return nil
}
