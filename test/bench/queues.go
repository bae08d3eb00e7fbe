package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/lambdad/lambdad/internal/services/sqs"
	"github.com/lambdad/lambdad/internal/store/pebble"
)

// queueClients is how many clients ask at once, and queueBody what they send.
const queueClients = 64

// queueMessagesMax keeps what is received below the messages that SQS lets be in flight.
const queueMessagesMax = 100_000

var queueBody = strings.Repeat("m", 1024)

// queueSide is one way to SQS.
type queueSide interface {
	send(ctx context.Context) error
	receive(ctx context.Context) (handles []string, err error)
	remove(ctx context.Context, handle string) error
}

// benchQueues counts messages sent, received and deleted a second, each on disk when it is
// acknowledged, beside bare fdatasync calls on the same disk.
func benchQueues(ctx context.Context, b *bench) error {
	length := 4 * time.Second
	if b.quick {
		length = time.Second
	}
	dir, err := os.MkdirTemp("", "lambdad-bench-queues-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	syncs, err := fdatasyncs(filepath.Join(dir, "probe"), length)
	if err != nil {
		return err
	}
	rows := [][]string{{"fdatasync after each 128-byte append", "", "1", fmt.Sprintf("%.0f", syncs), "1.00"}}
	in, err := openQueueRoom(ctx, filepath.Join(dir, "store"))
	if err != nil {
		return err
	}
	defer in.close()
	over, err := openQueueServer(ctx, b.lambdad)
	if err != nil {
		return err
	}
	defer over.server.stop()
	for _, side := range []struct {
		name string
		queueSide
	}{{"in the process", in}, {"over HTTP, AWS SDK for Go", over}} {
		rates, err := queueRates(ctx, side, length)
		if err != nil {
			return fmt.Errorf("%s: %w", side.name, err)
		}
		for i, what := range []string{"send", "receive, 10 at once", "delete"} {
			rows = append(rows, []string{what, side.name, fmt.Sprint(queueClients), fmt.Sprintf("%.0f", rates[i]), fmt.Sprintf("%.2f", rates[i]/syncs)})
		}
	}
	b.report.table("SQS", []string{"messages of 1 KiB", "how", "clients", "a second", "ratio to fdatasync"}, rows,
		"Sends and deletes are on disk when they are acknowledged; what waits at the same time shares one flush. The SDK signs and parses on the same cores.")
	return nil
}

// queueRates sends for a while, then receives everything, then deletes it.
func queueRates(ctx context.Context, side queueSide, length time.Duration) (rates [3]float64, err error) {
	stop := time.Now().Add(length)
	var sent atomic.Int64
	more := func() bool { return time.Now().Before(stop) && sent.Add(1) < queueMessagesMax }
	if rates[0], err = crowd(func() (int, bool, error) { return 1, more(), side.send(ctx) }); err != nil {
		return rates, err
	}
	var mu sync.Mutex
	var all []string
	rates[1], err = crowd(func() (int, bool, error) {
		handles, err := side.receive(ctx)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, handles...)
		return len(handles), len(handles) > 0, err
	})
	if err != nil {
		return rates, err
	}
	rates[2], err = crowd(func() (int, bool, error) {
		mu.Lock()
		if len(all) == 0 {
			mu.Unlock()
			return 0, false, nil
		}
		handle := all[len(all)-1]
		all = all[:len(all)-1]
		mu.Unlock()
		return 1, true, side.remove(ctx, handle)
	})
	return rates, err
}

// crowd lets all clients do one thing until there is no more, and counts what they did a second.
func crowd(do func() (n int, more bool, err error)) (perSecond float64, err error) {
	var wg sync.WaitGroup
	var total atomic.Int64
	errs := make([]error, queueClients)
	start := time.Now()
	for c := range queueClients {
		wg.Go(func() {
			for {
				n, more, err := do()
				total.Add(int64(n))
				if errs[c] = err; err != nil || !more {
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(total.Load()) / time.Since(start).Seconds(), errors.Join(errs...)
}

// queueRoom is SQS in this process.
type queueRoom struct {
	store *pebble.Store
	room  *sqs.Service
	arn   string
}

func openQueueRoom(ctx context.Context, dir string) (*queueRoom, error) {
	s, err := pebble.Open(dir, pebble.Options{})
	if err != nil {
		return nil, err
	}
	room, err := sqs.Open(ctx, sqs.Options{Records: s})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	r := &queueRoom{store: s, room: room, arn: "arn:aws:sqs:us-east-1:000000000000:bench"}
	if err := room.Create(ctx, r.arn, nil); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *queueRoom) close() error { return errors.Join(r.room.Close(), r.store.Close()) }

func (r *queueRoom) send(ctx context.Context) error {
	_, err := r.room.Send(ctx, r.arn, sqs.Outgoing{Body: queueBody})
	return err
}

func (r *queueRoom) receive(ctx context.Context) (handles []string, err error) {
	got, err := r.room.Receive(ctx, r.arn, sqs.Ask{Limit: 10, Visibility: time.Hour})
	for i := range got {
		handles = append(handles, got[i].Receipt)
	}
	return handles, err
}

func (r *queueRoom) remove(ctx context.Context, handle string) error {
	return r.room.Delete(ctx, r.arn, handle)
}

// queueServer is SQS of another process, as a client has it.
type queueServer struct {
	server *runningServer
	client *awssqs.Client
	url    *string
}

func openQueueServer(ctx context.Context, lambdad string) (*queueServer, error) {
	server, err := startServer(ctx, lambdad)
	if err != nil {
		return nil, err
	}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithSharedCredentialsFiles([]string{filepath.Join(server.data, "data", "credentials")}),
		config.WithSharedConfigFiles([]string{os.DevNull}), config.WithRegion("us-east-1"), config.WithBaseEndpoint(server.endpoint))
	if err != nil {
		return nil, errors.Join(err, server.stop())
	}
	s := &queueServer{server: server, client: awssqs.NewFromConfig(cfg)}
	created, err := s.client.CreateQueue(ctx, &awssqs.CreateQueueInput{QueueName: aws.String("bench")})
	if err != nil {
		return nil, errors.Join(err, server.stop())
	}
	s.url = created.QueueUrl
	return s, nil
}

func (s *queueServer) send(ctx context.Context) error {
	_, err := s.client.SendMessage(ctx, &awssqs.SendMessageInput{QueueUrl: s.url, MessageBody: &queueBody})
	return err
}

func (s *queueServer) receive(ctx context.Context) (handles []string, err error) {
	got, err := s.client.ReceiveMessage(ctx, &awssqs.ReceiveMessageInput{QueueUrl: s.url, MaxNumberOfMessages: 10, VisibilityTimeout: 3600})
	if err != nil {
		return nil, err
	}
	for _, m := range got.Messages {
		handles = append(handles, *m.ReceiptHandle)
	}
	return handles, nil
}

func (s *queueServer) remove(ctx context.Context, handle string) error {
	_, err := s.client.DeleteMessage(ctx, &awssqs.DeleteMessageInput{QueueUrl: s.url, ReceiptHandle: &handle})
	return err
}
