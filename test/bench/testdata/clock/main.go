// Command clock is a function that tells when it was called, beside what its event says of
// when it was sent. It sleeps if it is told to, and takes batches of messages in silence.
package main

import (
	"context"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
)

type event struct {
	Sent    int64 `json:"sent"`
	SleepMS int   `json:"sleepMs"`
}

type answer struct {
	Sent    int64 `json:"sent"`
	Started int64 `json:"started"`
}

func main() {
	lambda.Start(func(_ context.Context, in event) (answer, error) {
		started := time.Now().UnixNano()
		time.Sleep(time.Duration(in.SleepMS) * time.Millisecond)
		return answer{Sent: in.Sent, Started: started}, nil
	})
}
