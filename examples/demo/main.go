// Command demo deploys the three example functions with the AWS SDK for Go, invokes
// each cold and warm, and prints the answers, the REPORT lines and the latencies.
// It is an ordinary AWS client: endpoint, region and keys come from the environment.
package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// example is one function to show.
type example struct {
	name    string
	runtime types.Runtime
	handler string
	dir     string // its files, all of them
}

const (
	roleName    = "lambdad-demo"
	trustPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	logsPolicy  = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
	warmInvokes = 5
)

func main() {
	python := flag.String("python", string(types.RuntimePython313), "runtime of the Python example")
	nodejs := flag.String("nodejs", string(types.RuntimeNodejs22x), "runtime of the Node.js example")
	golang := flag.String("golang", "", "folder with the built bootstrap of the Go example")
	flag.Parse()
	examples := []example{
		{"demo-python", types.Runtime(*python), "app.handler", "examples/python"},
		{"demo-nodejs", types.Runtime(*nodejs), "index.handler", "examples/nodejs"},
		{"demo-go", types.RuntimeProvidedal2023, "bootstrap", *golang},
	}
	if err := run(context.Background(), examples); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, examples []example) error {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	role, err := makeRole(ctx, iam.NewFromConfig(cfg))
	if err != nil {
		return fmt.Errorf("role: %w", err)
	}
	client := lambda.NewFromConfig(cfg)
	failed := 0
	for _, e := range examples {
		fmt.Printf("\n== %s (%s)\n", e.name, e.runtime)
		if err := show(ctx, client, e, role); err != nil {
			fmt.Printf("   %v\n", err)
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d examples failed; `bin/lambdad doctor` tells what this machine lacks", failed, len(examples))
	}
	return nil
}

func makeRole(ctx context.Context, client *iam.Client) (arn string, err error) {
	out, err := client.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String(roleName), AssumeRolePolicyDocument: aws.String(trustPolicy)})
	var exists *iamtypes.EntityAlreadyExistsException
	if errors.As(err, &exists) {
		got, err := client.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String(roleName)})
		if err != nil {
			return "", err
		}
		return *got.Role.Arn, nil
	}
	if err != nil {
		return "", err
	}
	_, err = client.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: aws.String(roleName), PolicyArn: aws.String(logsPolicy)})
	return *out.Role.Arn, err
}

// show deploys one example, anew each time, and invokes it.
func show(ctx context.Context, client *lambda.Client, e example, role string) error {
	code, err := zipDir(e.dir)
	if err != nil {
		return err
	}
	_, err = client.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: &e.name})
	var notFound *types.ResourceNotFoundException
	if err != nil && !errors.As(err, &notFound) {
		return fmt.Errorf("delete the earlier function: %w", err)
	}
	_, err = client.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: &e.name, Runtime: e.runtime, Handler: &e.handler, Role: &role,
		Code: &types.FunctionCode{ZipFile: code}, MemorySize: aws.Int32(256), Timeout: aws.Int32(10),
	})
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if err := lambda.NewFunctionActiveV2Waiter(client).Wait(ctx, &lambda.GetFunctionInput{FunctionName: &e.name}, time.Minute); err != nil {
		got, getErr := client.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &e.name})
		if getErr == nil && got.StateReason != nil {
			return errors.New(*got.StateReason)
		}
		return fmt.Errorf("wait until active: %w", err)
	}
	if err := invoke(ctx, client, e.name, "cold"); err != nil {
		return err
	}
	for range warmInvokes - 1 {
		if _, _, err := call(ctx, client, e.name); err != nil {
			return err
		}
	}
	return invoke(ctx, client, e.name, "warm")
}

func invoke(ctx context.Context, client *lambda.Client, name, label string) error {
	out, took, err := call(ctx, client, name)
	if err != nil {
		return err
	}
	fmt.Printf("   %s %8.2f ms  %s\n", label, float64(took.Microseconds())/1000, out.Payload)
	log, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	if err != nil {
		return err
	}
	for _, line := range strings.Split(string(log), "\n") {
		if strings.HasPrefix(line, "REPORT ") {
			fmt.Printf("        %s\n", strings.ReplaceAll(strings.TrimSpace(line), "\t", "  "))
		}
	}
	if out.FunctionError != nil {
		return fmt.Errorf("%s failed: %s", name, out.Payload)
	}
	return nil
}

func call(ctx context.Context, client *lambda.Client, name string) (*lambda.InvokeOutput, time.Duration, error) {
	start := time.Now()
	out, err := client.Invoke(ctx, &lambda.InvokeInput{FunctionName: &name, Payload: []byte(`{"name":"you"}`), LogType: types.LogTypeTail})
	return out, time.Since(start), err
}

// zipDir packs every regular file below dir, keeping its mode.
func zipDir(dir string) ([]byte, error) {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		header, err := zip.FileInfoHeader(info)
		if err != nil {
			return err
		}
		if header.Name, err = filepath.Rel(dir, path); err != nil {
			return err
		}
		header.Method = zip.Deflate
		entry, err := w.CreateHeader(header)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, err = entry.Write(content)
		return err
	})
	err = errors.Join(err, w.Close())
	return buf.Bytes(), err
}
