// Command whoami is a function for provided.al2023 that calls lambdad back with the
// AWS SDK and whatever its environment gives it: endpoint, region, credentials.
package main

import (
	"context"
	"errors"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	lambdaapi "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

func main() {
	lambda.Start(func(ctx context.Context) (map[string]string, error) {
		cfg, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return nil, err
		}
		identity, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, nil)
		if err != nil {
			return nil, err
		}
		answer := map[string]string{"arn": *identity.Arn, "list": "allowed"}
		_, err = lambdaapi.NewFromConfig(cfg).ListFunctions(ctx, nil)
		var refused smithy.APIError
		if errors.As(err, &refused) {
			answer["list"] = refused.ErrorCode()
		} else if err != nil {
			return nil, err
		}
		return answer, nil
	})
}
