package destination

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// TestMoto sends to an implementation of the services that is not ours.
func TestMoto(t *testing.T) {
	program, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("needs moto_server")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(address)
	ctx, stop := context.WithCancel(context.Background())
	server := exec.CommandContext(ctx, program, "-H", "127.0.0.1", "-p", port)
	if err := server.Start(); err != nil {
		t.Skipf("moto_server does not start: %v", err)
	}
	t.Cleanup(func() { stop(); _ = server.Wait() })
	ended := time.Now().Add(60 * time.Second)
	for {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			break
		}
		if time.Now().After(ended) {
			t.Skip("moto_server does not listen: is moto installed with its server?")
		}
		time.Sleep(50 * time.Millisecond)
	}
	base := "http://" + address
	query := func(service, form string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/", strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		// Moto tells services by the credential scope.
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-1/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
		return answered(t, r)
	}
	query("sns", "Action=CreateTopic&Version=2010-03-31&Name=topic")
	queues := sqs.New(sqs.Options{Region: "eu-west-1", BaseEndpoint: &base, Credentials: awscredentials.NewStaticCredentialsProvider("AKID", "secret", "")})
	made, err := queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("queue")})
	if err != nil {
		t.Fatal(err)
	}
	query("sns", "Action=Subscribe&Version=2010-03-31&Protocol=sqs&TopicArn=arn:aws:sns:eu-west-1:123456789012:topic&Endpoint=arn:aws:sqs:eu-west-1:123456789012:queue")
	bucket, err := http.NewRequestWithContext(t.Context(), http.MethodPut, base+"/bucket", strings.NewReader(`<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>`))
	if err != nil {
		t.Fatal(err)
	}
	bucket.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=0")
	answered(t, bucket)

	e, err := ParseEndpoints([]string{"sns=" + base, "s3=" + base, "events=" + base})
	if err != nil {
		t.Fatal(err)
	}
	for _, arn := range []string{"arn:aws:sns:eu-west-1:123456789012:topic", "arn:aws:events:eu-west-1:123456789012:event-bus/default", "arn:aws:s3:::bucket"} {
		if err := e.Send(t.Context(), message(arn), credentials); err != nil {
			t.Errorf("%s: %v", arn, err)
		}
	}
	if err := e.Send(t.Context(), message("arn:aws:s3:::no-such-bucket"), credentials); err == nil {
		t.Error("a bucket that is not there took a record")
	}
	if err := e.Send(t.Context(), message("arn:aws:sns:eu-west-1:123456789012:none"), credentials); err == nil {
		t.Error("a topic that is not there took a record")
	}
	got, err := queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: made.QueueUrl, WaitTimeSeconds: 5})
	if err != nil || len(got.Messages) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	var note struct{ Message string }
	if err := json.Unmarshal([]byte(*got.Messages[0].Body), &note); err != nil || note.Message != `{"a":"ä&b"}` {
		t.Errorf("%s, %v", *got.Messages[0].Body, err)
	}
}

func answered(t *testing.T, r *http.Request) string {
	t.Helper()
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %d %s, %v", r.Method, r.URL, answer.StatusCode, text, err)
	}
	return string(text)
}
