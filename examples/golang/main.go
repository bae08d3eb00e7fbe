// Command golang is the smallest useful function in Go: it greets, and counts the
// invokes of its environment. Build it as `bootstrap` for provided.al2023.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
)

type request struct {
	Name string `json:"name"`
}

type response struct {
	Greeting    string `json:"greeting"`
	Invokes     int    `json:"invokes"`
	RemainingMS int64  `json:"remaining_ms"`
}

func main() {
	invokes := 0
	lambda.Start(func(ctx context.Context, in request) (response, error) {
		invokes++
		if in.Name == "" {
			in.Name = "world"
		}
		out := response{Greeting: fmt.Sprintf("Hello, %s, from Go", in.Name), Invokes: invokes}
		if deadline, ok := ctx.Deadline(); ok {
			out.RemainingMS = time.Until(deadline).Milliseconds()
		}
		return out, nil
	})
}
