package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"golang.org/x/sys/unix"
)

// streamHold is how long the functions go on after their first line.
const streamHold = 50 * time.Millisecond

// benchStreaming measures how long after a function wrote its first byte a client has it.
func benchStreaming(ctx context.Context, b *bench) error {
	count := 200
	if b.quick {
		count = 20
	}
	dir, err := os.MkdirTemp("", "lambdad-bench-streaming-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	streamer := language{name: "custom runtime (Go)", runtime: types.RuntimeProvidedal2023, handler: "bootstrap", dir: filepath.Join(dir, "streamer")}
	if err := buildBootstrap(ctx, streamer.dir, "./test/bench/testdata/streamer"); err != nil {
		return err
	}
	functions := map[string]language{"streamer": streamer}
	ways := []streamWay{{"streamer", streamer.name, "InvokeWithResponseStream", apiStream}, {"streamer", streamer.name, "function URL, RESPONSE_STREAM", urlStream}}
	for _, l := range b.languages() {
		if l.client == "nodejs" {
			l.dir = "test/bench/testdata/streamify"
			functions["streamify"] = l
			l.handler = "index.whole"
			functions["whole"] = l
			ways = append(ways, streamWay{"streamify", l.name + ", awslambda.streamifyResponse", "InvokeWithResponseStream", apiStream},
				streamWay{"streamify", l.name + ", awslambda.streamifyResponse", "function URL, RESPONSE_STREAM", urlStream},
				streamWay{"whole", l.name + ", not streamed", "Invoke", wholeAnswer})
		}
	}
	s, err := startServer(ctx, b.lambdad, "--memory", "100000")
	if err != nil {
		return err
	}
	defer s.stop()
	c, err := newCaller(ctx, s, 4)
	if err != nil {
		return err
	}
	urls := map[string]string{}
	for name, l := range functions {
		if err := c.deploy(ctx, name, l); err != nil {
			return err
		}
		if urls[name], err = c.streamingURL(ctx, name); err != nil {
			return err
		}
	}
	taken := make([]streamSamples, len(ways))
	for i := range count + 1 {
		for w, way := range ways {
			t, err := way.take(ctx, c, way.function, urls[way.function])
			if err != nil {
				return fmt.Errorf("%s, %s: %w", way.what, way.how, err)
			}
			if i > 0 { // the first found nothing warm
				taken[w].add(t)
			}
		}
	}
	var rows [][]string
	for w, way := range ways {
		t := taken[w]
		rows = append(rows, []string{way.what, way.how, fmt.Sprint(len(t.delivery)), millis(t.delivery.p50()), millis(t.delivery.p99()), millis(t.first.p50()), millis(t.last.p50())})
	}
	b.report.table("Streaming: the first byte", []string{"function", "way", "n", "from the function's write to the client, p50 ms", "p99 ms", "from the request, p50 ms", "last byte, p50 ms"}, rows,
		fmt.Sprintf("Warm, one at a time, ways interleaved. Each function goes on for %v after its first line. The function reads the machine's monotonic clock before it writes.", streamHold))
	return nil
}

type streamWay struct {
	function, what, how string
	take                func(ctx context.Context, c *caller, function, url string) (streamTimes, error)
}

// streamTimes are of one answer: from the function's write to its first byte here, and from
// the request to its first byte and to its last.
type streamTimes struct{ delivery, first, last time.Duration }

type streamSamples struct{ delivery, first, last sample }

func (s *streamSamples) add(t streamTimes) {
	s.delivery, s.first, s.last = append(s.delivery, t.delivery), append(s.first, t.first), append(s.last, t.last)
}

// streamingURL makes a URL that anybody may ask.
func (c *caller) streamingURL(ctx context.Context, name string) (string, error) {
	_, err := c.lambda.AddPermission(ctx, &lambda.AddPermissionInput{FunctionName: &name, StatementId: aws.String("all"), Action: aws.String("lambda:InvokeFunctionUrl"),
		Principal: aws.String("*"), FunctionUrlAuthType: types.FunctionUrlAuthTypeNone})
	if err != nil {
		return "", err
	}
	_, err = c.lambda.AddPermission(ctx, &lambda.AddPermissionInput{FunctionName: &name, StatementId: aws.String("invoke"), Action: aws.String("lambda:InvokeFunction"), Principal: aws.String("*")})
	if err != nil {
		return "", err
	}
	out, err := c.lambda.CreateFunctionUrlConfig(ctx, &lambda.CreateFunctionUrlConfigInput{FunctionName: &name, AuthType: types.FunctionUrlAuthTypeNone, InvokeMode: types.InvokeModeResponseStream})
	if err != nil {
		return "", err
	}
	return *out.FunctionUrl, nil
}

func apiStream(ctx context.Context, c *caller, function, _ string) (streamTimes, error) {
	request, err := c.signed(ctx, http.MethodPost, "/2021-11-15/functions/"+function+"/response-streaming-invocations", []byte("{}"))
	if err != nil {
		return streamTimes{}, err
	}
	return c.timeStream(request, func(body io.Reader) ([]byte, error) {
		message, err := eventstream.NewDecoder().Decode(body, nil)
		if kind := message.Headers.Get(":event-type"); err == nil && (kind == nil || kind.String() != "PayloadChunk") {
			err = fmt.Errorf("not a chunk: %s", message.Payload)
		}
		return message.Payload, err
	})
}

func urlStream(ctx context.Context, c *caller, _, address string) (streamTimes, error) {
	at, err := url.Parse(address)
	if err != nil {
		return streamTimes{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.server.endpoint+at.Path, nil)
	if err != nil {
		return streamTimes{}, err
	}
	request.Host = at.Host
	return c.timeStream(request, firstLine)
}

func wholeAnswer(ctx context.Context, c *caller, function, _ string) (streamTimes, error) {
	request, err := c.signed(ctx, http.MethodPost, "/2015-03-31/functions/"+function+"/invocations", []byte("{}"))
	if err != nil {
		return streamTimes{}, err
	}
	return c.timeStream(request, func(body io.Reader) ([]byte, error) {
		text, err := firstLine(body)
		return bytes.ReplaceAll(bytes.Trim(text, `"`), []byte(`\n`), []byte("\n")), err
	})
}

// firstLine is what one read brings: a line of a clock is never split.
func firstLine(body io.Reader) ([]byte, error) {
	buf := make([]byte, 256)
	n, err := body.Read(buf)
	if errors.Is(err, io.EOF) && n > 0 {
		err = nil
	}
	return buf[:n], err
}

// timeStream sends a request, has first read the first part of its answer, and reads the rest.
func (c *caller) timeStream(request *http.Request, first func(io.Reader) ([]byte, error)) (t streamTimes, err error) {
	begin := monotonic()
	response, err := c.http.Do(request)
	if err != nil {
		return t, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(response.Body)
		return t, fmt.Errorf("%s: %s", response.Status, body)
	}
	line, err := first(response.Body)
	here := monotonic()
	if err != nil {
		return t, err
	}
	var written int64
	if _, err := fmt.Sscan(strings.TrimSpace(string(line)), &written); err != nil {
		return t, fmt.Errorf("%q is no clock: %w", line, err)
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return t, err
	}
	return streamTimes{delivery: time.Duration(here - written), first: time.Duration(here - begin), last: time.Duration(monotonic() - begin)}, nil
}

// monotonic is what the functions' clock says.
func monotonic() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0 // the call cannot fail with this clock
	}
	return now.Nano()
}
