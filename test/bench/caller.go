package main

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

const (
	region = "us-east-1"
	// functionMiB stands for one whole core, so that no function waits for its share.
	functionMiB = 1769
)

// caller speaks to one server: the SDK for set-up, a signed request over a kept connection for
// what is measured, so that the client's own cost stays small, and Go's client for streams.
type caller struct {
	server *runningServer
	config aws.Config
	lambda *lambda.Client
	http   *http.Client
	kept   *connections
	signer *v4.Signer
	keys   aws.Credentials
	role   string
}

func newCaller(ctx context.Context, s *runningServer, connections int) (*caller, error) {
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithSharedCredentialsFiles([]string{filepath.Join(s.data, "data", "credentials")}),
		config.WithSharedConfigFiles([]string{os.DevNull}),
		config.WithRegion(region), config.WithBaseEndpoint(s.endpoint))
	if err != nil {
		return nil, err
	}
	keys, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	c := &caller{server: s, config: cfg, lambda: lambda.NewFromConfig(cfg), signer: v4.NewSigner(), keys: keys,
		kept: newConnections(), http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections, DisableCompression: true}}}
	role, err := iam.NewFromConfig(cfg).CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("bench"),
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})
	if err != nil {
		return nil, err
	}
	c.role = *role.Role.Arn
	return c, nil
}

func (c *caller) create(ctx context.Context, name string, l language, code []byte) error {
	_, err := c.lambda.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: &name, Runtime: l.runtime, Handler: &l.handler, Role: &c.role,
		Code: &types.FunctionCode{ZipFile: code}, MemorySize: aws.Int32(functionMiB), Timeout: aws.Int32(30)})
	return err
}

func (c *caller) waitActive(ctx context.Context, name string) error {
	return lambda.NewFunctionActiveV2Waiter(c.lambda).Wait(ctx, &lambda.GetFunctionInput{FunctionName: &name}, time.Minute)
}

// invoke sends one signed Invoke and returns how long it took to the last byte.
func (c *caller) invoke(ctx context.Context, name string, payload []byte) (time.Duration, error) {
	request, err := c.signed(ctx, http.MethodPost, "/2015-03-31/functions/"+name+"/invocations", payload)
	if err != nil {
		return 0, err
	}
	got, took, err := c.kept.do(request)
	if err != nil {
		return 0, err
	}
	if got.status != http.StatusOK || got.header.Get("X-Amz-Function-Error") != "" {
		return 0, fmt.Errorf("invoke %s: %d: %s", name, got.status, got.body)
	}
	return took, nil
}

// zipDir packs the files of dir, with salt in a file of its own so that packages differ.
func zipDir(dir, salt string) ([]byte, error) {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	add := func(name string, mode os.FileMode, content []byte) error {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate}
		header.SetMode(mode)
		entry, err := w.CreateHeader(header)
		if err != nil {
			return err
		}
		_, err = entry.Write(content)
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		if err := add(e.Name(), 0o755, content); err != nil {
			return nil, err
		}
	}
	if salt != "" {
		if err := add("salt.txt", 0o644, []byte(salt)); err != nil {
			return nil, err
		}
	}
	err = w.Close()
	return buf.Bytes(), err
}

func splitLines(s string) []string { return strings.Split(s, "\n") }
