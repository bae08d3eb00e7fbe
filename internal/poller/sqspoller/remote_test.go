package sqspoller

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/services/sqs"
	"github.com/lambdad/lambdad/internal/store/mem"
	"github.com/lambdad/lambdad/internal/wire"
	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

type anyone struct{}

func (anyone) Authenticate(r *http.Request, _ []byte, _ string, _ wire.Protocol) (wire.Identity, error) {
	if r.Header.Get("Authorization") == "" {
		return wire.Identity{}, errors.New("unsigned")
	}
	return wire.Identity{Principal: aws.Principal{Type: aws.PrincipalRoot, Account: "000000000000"}, Region: "us-east-1", Service: "sqs"}, nil
}

// TestRemote reads queues of an endpoint as those of the node itself.
func TestRemote(t *testing.T) {
	s := mem.New()
	defer s.Close()
	service, err := sqs.Open(t.Context(), sqs.Options{Records: s, Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	server, err := wire.NewServer(wire.Config{Services: []*wire.Service{service.API()}, Authenticator: anyone{}, Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	defer listener.Close()
	at, err := url.Parse(listener.URL)
	if err != nil {
		t.Fatal(err)
	}
	remote, keys := NewRemote(at), sigv4.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "secret"}
	const fifo = queueARN + ".fifo"
	if err := service.Create(t.Context(), fifo, map[string]string{"VisibilityTimeout": "7", "FifoQueue": "true"}); err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Visibility(t.Context(), keys, queueARN); !errors.Is(err, sqs.ErrNoQueue) {
		t.Errorf("a queue that is not there: %v", err)
	}
	if got, err := remote.Visibility(t.Context(), keys, fifo); err != nil || got != 7*time.Second {
		t.Errorf("%v, %v", got, err)
	}
	sent := sqs.Outgoing{Body: "b", Group: "g", DedupID: "d", Trace: "Root=1", Attributes: map[string]sqs.Attribute{"n": {Type: "Number", Text: "1"}, "b": {Type: "Binary", Binary: []byte{0, 1}}}}
	if _, err := service.Send(t.Context(), fifo, sent); err != nil {
		t.Fatal(err)
	}
	first, err := remote.Receive(t.Context(), keys, fifo, 10)
	if err != nil || len(first) != 1 {
		t.Fatalf("%+v, %v", first, err)
	}
	if err := remote.Release(t.Context(), keys, fifo, []string{first[0].Receipt}); err != nil {
		t.Fatal(err)
	}
	// The same message as the node's own door has it, delivered once more.
	own, err := service.Receive(t.Context(), fifo, sqs.Ask{Limit: 1})
	if err != nil || len(own) != 1 {
		t.Fatalf("after a release: %+v, %v", own, err)
	}
	want := own[0]
	want.Receipt, want.Receives, want.First, want.Sent = first[0].Receipt, 1, first[0].First, first[0].Sent
	if !reflect.DeepEqual(first[0], want) || !own[0].Sent.Equal(first[0].Sent) {
		t.Errorf("%+v, want %+v", first[0], want)
	}
	if err := remote.Delete(t.Context(), keys, fifo, []string{own[0].Receipt}); err != nil {
		t.Fatal(err)
	}
	if err := remote.Delete(t.Context(), keys, fifo, []string{"no receipt"}); err == nil {
		t.Error("a removal that failed is taken for done")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := remote.Receive(ended, keys, fifo, 1); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
