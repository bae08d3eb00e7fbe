// Command sleeper is a function that sleeps as long as it is told to, in milliseconds.
package main

import (
	"context"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(func(_ context.Context, in struct {
		SleepMS int64 `json:"sleepMs"`
	}) (string, error) {
		time.Sleep(time.Duration(in.SleepMS) * time.Millisecond)
		return "slept", nil
	})
}
