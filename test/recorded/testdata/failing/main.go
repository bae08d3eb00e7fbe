// Command failing is a Go function that fails as its event says.
package main

import (
	"errors"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(func(event struct {
		Message string `json:"error_msg"`
	}) (any, error) {
		return nil, errors.New("Error: " + event.Message)
	})
}
