// Command jetstream is a peer of lambdad's asynchronous invokes: an embedded NATS JetStream
// that syncs each message, and clients in the same process that wait for each
// acknowledgement. It prints how many messages a second were acknowledged.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// startTimeout bounds how long the server may take to come up.
const startTimeout = 10 * time.Second

func main() {
	dir := flag.String("dir", "", "folder of the stream")
	clients := flag.Int("clients", 64, "how many publish at once")
	streams := flag.Int("streams", 1, "streams that the clients are spread over")
	size := flag.Int("bytes", 1024, "size of a message")
	length := flag.Duration("length", 4*time.Second, "how long")
	flag.Parse()
	rate, err := measure(context.Background(), *dir, *clients, *streams, *size, *length)
	if err != nil {
		fmt.Fprintln(os.Stderr, "jetstream:", err)
		os.Exit(1)
	}
	fmt.Printf("%s %.1f\n", server.VERSION, rate)
}

func measure(ctx context.Context, dir string, clients, streams, size int, length time.Duration) (perSecond float64, err error) {
	s, err := server.NewServer(&server.Options{JetStream: true, StoreDir: dir, SyncAlways: true, DontListen: true, NoSigs: true})
	if err != nil {
		return 0, err
	}
	s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	if !s.ReadyForConnections(startTimeout) {
		return 0, errors.New("the server is not ready")
	}
	setup, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		return 0, err
	}
	defer setup.Close()
	js, err := jetstream.New(setup)
	if err != nil {
		return 0, err
	}
	for i := range streams {
		_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: fmt.Sprintf("events%d", i), Subjects: []string{subject(i)}, Storage: jetstream.FileStorage, Retention: jetstream.WorkQueuePolicy})
		if err != nil {
			return 0, err
		}
	}
	var wg sync.WaitGroup
	var acknowledged atomic.Int64
	errs := make([]error, clients)
	body := make([]byte, size)
	start := time.Now()
	for c := range clients {
		wg.Go(func() { errs[c] = publish(ctx, s, subject(c%streams), body, start.Add(length), &acknowledged) })
	}
	wg.Wait()
	return float64(acknowledged.Load()) / time.Since(start).Seconds(), errors.Join(errs...)
}

func subject(stream int) string { return fmt.Sprintf("events.%d", stream) }

// publish is one client with a connection of its own.
func publish(ctx context.Context, s *server.Server, subject string, body []byte, until time.Time, acknowledged *atomic.Int64) error {
	connection, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		return err
	}
	defer connection.Close()
	js, err := jetstream.New(connection)
	if err != nil {
		return err
	}
	for time.Now().Before(until) {
		if _, err := js.Publish(ctx, subject, body); err != nil {
			return err
		}
		acknowledged.Add(1)
	}
	return nil
}
