package story

import (
	"context"
	"encoding/csv"
	"fmt"
	"math/big"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambdad/lambdad/test/house"
)

const meteredCode = `
import os, time
def handler(event, context):
    time.sleep(event.get('s', 0))
    if event.get('fail'):
        raise ValueError('no')
    if event.get('exit'):
        os._exit(1)
    return 'x' * event.get('bytes', 1)
`

const streamedCode = `
exports.handler = awslambda.streamifyResponse(async (event, out) => {
  for (let i = 0; i < event.mib; i++)
    if (!out.write(Buffer.alloc(1 << 20, 'x'))) await new Promise((done) => out.once('drain', done));
  out.end();
});
`

// metered is what the log lines of a version, or its row of a bill, add up to.
type metered struct {
	requests, billedMS, inits, restores int64
	gbSeconds                           string
}

// TestMeteringIsTheLog runs invokes of every kind and finds that the bill is the sum of the
// functions' own REPORT lines, to the millisecond: while it runs, after an orderly restart,
// and after a kill -9.
func TestMeteringIsTheLog(t *testing.T) {
	h := house.Start(t, "--event-time-scale", "0.01")
	c := h.Client(t)
	m := &meterMix{t: t, client: c, want: map[string]int64{}}
	small := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("small"), MemorySize: aws.Int32(128)}, map[string]string{"app.py": meteredCode})
	large := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("large"), MemorySize: aws.Int32(777), Timeout: aws.Int32(1), EphemeralStorage: &types.EphemeralStorage{Size: aws.Int32(1024)}}, map[string]string{"app.py": meteredCode})
	broken := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("broken"), MemorySize: aws.Int32(128)}, map[string]string{"app.py": "raise ValueError('INIT')\n"})
	snap := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("snap"), MemorySize: aws.Int32(256), SnapStart: &types.SnapStart{ApplyOn: types.SnapStartApplyOnPublishedVersions}}, map[string]string{"app.py": meteredCode})
	small1, snap1 := publish(t, c, small), publish(t, c, snap)
	if _, err := c.Lambda.PutProvisionedConcurrencyConfig(t.Context(), &lambda.PutProvisionedConcurrencyConfigInput{FunctionName: &small, Qualifier: &small1, ProvisionedConcurrentExecutions: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	waitProvisioned(t, c, small, small1, types.ProvisionedConcurrencyStatusEnumReady)
	if err := lambda.NewPublishedVersionActiveWaiter(c.Lambda).Wait(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: &snap, Qualifier: &snap1}, time.Minute); err != nil {
		t.Fatal(err)
	}
	m.run(120, small, "$LATEST", `{}`, `{"s":0.011}`, `{"fail":1}`, `{"bytes":5000}`)
	m.run(20, small, "$LATEST", `{"exit":1}`)
	m.run(60, small, small1, `{"s":0.02}`, `{}`, `{"exit":1}`)
	m.run(40, large, "$LATEST", `{}`, `{"fail":1}`, `{"s":0.1}`)
	m.run(3, large, "$LATEST", `{"s":9}`) // timeouts
	m.run(6, broken, "$LATEST", `{}`)
	m.run(30, snap, snap1, `{}`, `{"exit":1}`)
	m.events(60, small, `{"s":0.003}`, 1)
	m.events(5, large, `{"fail":1}`, 3) // two retries each
	streams := m.streams(8)
	if log := m.reports(); os.Geteuid() == 0 && log[billName(snap, snap1)].restores == 0 || log[billName(small, small1)].inits == 0 {
		t.Errorf("nothing was restored, or nothing started: %+v", log)
	}
	m.compare(h, m.reports(), "while it runs")
	if row := billRows(t, h, "--by", "version")[billName("stream", "$LATEST")]; streams && row["streamed_bytes"] != "8388608" {
		t.Errorf("8 answers of 7 MiB: %s bytes beyond 6 MiB", row["streamed_bytes"])
	}

	log := m.reports()
	h.Stop()
	m.compare(h, log, "of the data folder alone")
	h.Run()
	m.client = c.Again(h)
	m.run(20, small, "$LATEST", `{}`, `{"fail":1}`)
	m.compare(h, m.reports(), "after a restart")
	m.run(20, small, "$LATEST", `{"s":0.005}`, `{"exit":1}`)
	log = m.reports()
	time.Sleep(1500 * time.Millisecond) // the bound that metering promises, and what a slow disk adds
	h.Kill()
	m.compare(h, log, "after a kill -9, of the data folder alone")
	h.Run()
	m.client = c.Again(h)
	m.compare(h, m.reports(), "after a kill -9")
	m.run(20, small, "$LATEST", `{}`)
	m.compare(h, m.reports(), "after a kill -9 and more invokes")
}

// meterMix invokes and remembers how often.
type meterMix struct {
	t      *testing.T
	client *house.Client
	mu     sync.Mutex
	want   map[string]int64 // REPORT lines by billName
}

func billName(function, version string) string {
	return "000000000000:us-east-1:" + function + ":" + version
}

func (m *meterMix) count(function, version string, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.want[billName(function, version)] += n
}

// run invokes so often, a few at once, with the payloads in turn.
func (m *meterMix) run(n int, function, version string, payloads ...string) {
	m.t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for w := range errs {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += len(errs) {
				_, errs[w] = m.client.Lambda.Invoke(m.t.Context(), &lambda.InvokeInput{FunctionName: &function, Qualifier: &version, Payload: []byte(payloads[i%len(payloads)])})
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			m.t.Fatal(err)
		}
	}
	m.count(function, version, int64(n))
}

// events sends asynchronous invokes that will run so many times each.
func (m *meterMix) events(n int, function, payload string, attempts int64) {
	m.t.Helper()
	for range n {
		if _, err := m.client.Lambda.Invoke(m.t.Context(), &lambda.InvokeInput{FunctionName: &function, InvocationType: types.InvocationTypeEvent, Payload: []byte(payload)}); err != nil {
			m.t.Fatal(err)
		}
	}
	m.count(function, "$LATEST", int64(n)*attempts)
}

// streams has answers streamed, where there is a Node.js.
func (m *meterMix) streams(n int) (there bool) {
	m.t.Run("streams", func(t *testing.T) {
		c := m.client.With(t)
		name := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("stream"), Runtime: types.RuntimeNodejs20x, Handler: aws.String("index.handler"), MemorySize: aws.Int32(512), Timeout: aws.Int32(30)}, map[string]string{"index.js": streamedCode})
		for range n {
			out, err := c.Lambda.InvokeWithResponseStream(t.Context(), &lambda.InvokeWithResponseStreamInput{FunctionName: &name, Payload: []byte(`{"mib":7}`)})
			if err != nil {
				t.Fatal(err)
			}
			stream := out.GetStream()
			for range stream.Events() {
			}
			if err := stream.Err(); err != nil {
				t.Fatal(err)
			}
			stream.Close()
		}
		m.count(name, "$LATEST", int64(n))
		there = true
	})
	return there
}

// reportLine is a REPORT line as far as it is about money.
var reportLine = regexp.MustCompile(`Billed Duration: (\d+) ms\tMemory Size: (\d+) MB\t.*?\t(Init Duration: )?(Restore Duration: )?`)

// reports waits until each invoke has its REPORT line and adds them up.
func (m *meterMix) reports() map[string]metered {
	m.t.Helper()
	const reportsMax = time.Minute
	for deadline := time.Now().Add(reportsMax); ; time.Sleep(100 * time.Millisecond) {
		sums, lacking := m.readReports(), ""
		for name, n := range m.want {
			if got := sums[name].requests; got != n {
				lacking += fmt.Sprintf(" %s %d of %d,", name, got, n)
			}
		}
		if lacking == "" {
			return sums
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("REPORT lines:%s", lacking)
		}
	}
}

func (m *meterMix) readReports() map[string]metered {
	m.t.Helper()
	sums, mibMS := map[string]metered{}, map[string]int64{}
	for name := range m.want {
		function := strings.Split(name, ":")[2]
		pages := cloudwatchlogs.NewFilterLogEventsPaginator(m.client.Logs, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/" + function)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(m.t.Context())
			if err != nil {
				return nil // the first line makes the group
			}
			for _, e := range page.Events {
				_, stream, _ := strings.Cut(*e.LogStreamName, "[")
				version, _, _ := strings.Cut(stream, "]")
				if billName(function, version) != name || !strings.HasPrefix(*e.Message, "REPORT ") {
					continue
				}
				found := reportLine.FindStringSubmatch(*e.Message)
				if found == nil {
					m.t.Fatalf("%q", *e.Message)
				}
				billed, _ := strconv.ParseInt(found[1], 10, 64)
				mib, _ := strconv.ParseInt(found[2], 10, 64)
				sum := sums[name]
				sum.requests++
				sum.billedMS += billed
				mibMS[name] += billed * mib
				if found[3] != "" {
					sum.inits++
				}
				if found[4] != "" {
					sum.restores++
				}
				sum.gbSeconds = big.NewRat(mibMS[name], 1024*1000).FloatString(6)
				sums[name] = sum
			}
		}
	}
	return sums
}

// compare holds the bill against the log of all invokes so far.
func (m *meterMix) compare(h *house.House, log map[string]metered, when string) {
	m.t.Helper()
	rows := billRows(m.t, h, "--by", "version")
	var total int64
	for name, want := range log {
		row := rows[name]
		number := func(column string) int64 {
			n, err := strconv.ParseInt(row[column], 10, 64)
			if err != nil {
				m.t.Errorf("%s: %s: %v", when, name, err)
			}
			return n
		}
		got := metered{requests: number("requests"), billedMS: number("billed_ms"), inits: number("inits"), restores: number("restores"), gbSeconds: row["gb_seconds"]}
		if got != want {
			m.t.Errorf("%s: %s: the bill has %+v, the log %+v", when, name, got, want)
		}
		total += want.requests
	}
	if got := rows["total"]["requests"]; got != strconv.FormatInt(total, 10) {
		m.t.Errorf("%s: %s requests altogether, the log has %d", when, got, total)
	}
}

// billRows is a bill as a spreadsheet has it, by its groups.
func billRows(t *testing.T, h *house.House, args ...string) map[string]map[string]string {
	t.Helper()
	args = append([]string{"bill", "--format", "csv", "--data", h.Data, "--listen", strings.TrimPrefix(h.Endpoint, "http://")}, args...)
	out, err := h.Command(context.Background(), house.Binary(t), args...).Output()
	if err != nil {
		t.Fatalf("bill: %v\n%s", err, out)
	}
	all, err := csv.NewReader(strings.NewReader(string(out))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]map[string]string{}
	for _, row := range all[1:] {
		byName[row[0]] = map[string]string{}
		for i, name := range all[0] {
			byName[row[0]][name] = row[i]
		}
	}
	return byName
}
