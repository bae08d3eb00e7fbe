package telemetryapi

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/telemetry/platform"
)

const patience = 20 * time.Second

// listener is an extension's, on this host's loopback.
func listener(t *testing.T) (net.Listener, int) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, l.Addr().(*net.TCPAddr).Port
}

func newHub(t *testing.T, change func(*Options)) *Hub {
	t.Helper()
	opts := Options{
		Dial: func(ctx context.Context, port int) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		},
		tries: timing{dial: time.Second, attempt: 300 * time.Millisecond},
	}
	if change != nil {
		change(&opts)
	}
	h := NewHub(opts)
	t.Cleanup(h.Close)
	return h
}

func overHTTP(port int, types string) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":"2022-12-13","types":%s,"buffering":{"timeoutMs":25},"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:%d/t"}}`, types, port)
}

func overTCP(port int, types string) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":"2022-12-13","types":%s,"buffering":{"timeoutMs":25},"destination":{"protocol":"TCP","port":%d}}`, types, port)
}

func subscribed(t *testing.T, h *Hub, api API, name string, body []byte) {
	t.Helper()
	if status, answer := h.Subscribe(api, name, body); status != 200 || string(answer) != `"OK"` {
		t.Fatalf("%d %s", status, answer)
	}
}

// event as subscribers read it.
type event struct {
	Type   string
	Record json.RawMessage
}

func (e event) String() string { return e.Type + " " + string(e.Record) }

// await takes events until one contains the text.
func await(t *testing.T, events <-chan event, text string) (before []event) {
	t.Helper()
	for {
		select {
		case e := <-events:
			before = append(before, e)
			if strings.Contains(e.String(), text) {
				return before
			}
		case <-time.After(patience):
			t.Fatalf("no %s among %v", text, before)
		}
	}
}

// takes serves HTTP and passes the events on.
func takes(t *testing.T, l net.Listener, check func(*http.Request)) <-chan event {
	events := make(chan event, 1000)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if check != nil {
			check(r)
		}
		var batch []event
		if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
			t.Error(err)
		}
		for _, e := range batch {
			events <- e
		}
	})}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return events
}

func TestHTTP(t *testing.T) {
	l, port := listener(t)
	events := takes(t, l, func(r *http.Request) {
		if r.Method != "POST" || r.URL.Path != "/t" || r.Host != fmt.Sprintf("sandbox.localdomain:%d", port) || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %s %v", r.Method, r.URL, r.Host, r.Header)
		}
	})
	var told []platform.Subscription
	h := newHub(t, func(o *Options) {
		o.Subscribed = func(s platform.Subscription) { told = append(told, s) }
		o.Structured = true
	})
	h.Early(time.Now(), platform.InitStart{InitializationType: "on-demand", Phase: "init"})
	subscribed(t, h, Telemetry, "e", overHTTP(port, `["platform","function"]`))
	h.Line(time.Now(), platform.KindFunction, `{"message":"hello"}`)
	h.Line(time.Now(), platform.KindExtension, "not wanted")
	h.Event(time.Now(), platform.End{RequestID: "not of this schema"})
	h.Event(time.Now(), platform.Start{RequestID: "id", Version: "1"})
	got := fmt.Sprint(await(t, events, "platform.start"))
	want := `[platform.initStart {"initializationType":"on-demand","phase":"init"} platform.telemetrySubscription {"name":"e","state":"Subscribed","types":["platform","function"]} ` +
		`function {"message":"hello"} platform.start {"requestId":"id","version":"1"}]`
	if got != want {
		t.Errorf("%s, not\n%s", got, want)
	}
	// The second batch comes on the same connection or another, and in order.
	h.Event(time.Now(), platform.Start{RequestID: "id2", Version: "1"})
	await(t, events, "id2")

	subscribed(t, h, Telemetry, "e", overHTTP(port, `["function","platform"]`))
	await(t, events, "Already subscribed")
	if len(told) != 2 || told[1].State != platform.StateAlreadySubscribed {
		t.Errorf("%+v", told)
	}
	if !h.EndInit() {
		t.Error("nobody has subscribed")
	}
}

func TestTCP(t *testing.T) {
	l, port := listener(t)
	h := newHub(t, nil)
	subscribed(t, h, Logs, "e", []byte(strings.Replace(string(overTCP(port, `["platform","extension"]`)), "2022-12-13", "2020-08-15", 1)))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	h.Line(time.Now(), platform.KindExtension, "two\nlines\n")
	for _, want := range []string{`"platform.logsSubscription","record":{"name":"e","state":"Subscribed"`, `"extension","record":"two\nlines\n"}`} {
		line, err := r.ReadString('\n')
		if err != nil || !strings.Contains(line, want) {
			t.Fatalf("%q, %v", line, err)
		}
	}
	// A connection that breaks is made again.
	c.Close()
	h.Line(time.Now(), platform.KindExtension, "lost, maybe: nobody acknowledges")
	for again := make(chan struct{}); ; {
		go func() {
			if c, err := l.Accept(); err == nil {
				c.Close()
				close(again)
			}
		}()
		for {
			h.Line(time.Now(), platform.KindExtension, "more")
			select {
			case <-again:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	_, port := listener(t)
	h := newHub(t, func(o *Options) { o.Reserved = []int{9001} })
	good := overHTTP(port, `["platform"]`)
	subscribed(t, h, Telemetry, "e", good)
	logs := []byte(strings.Replace(string(good), "2022-12-13", "2020-08-15", 1))
	for _, c := range []struct {
		api    API
		name   string
		body   []byte
		status int
		want   string
	}{
		{Logs, "e", logs, 400, `{"errorMessage":"the extension has subscribed through the other API already","errorType":"Logs.ValidationError"}`},
		{Telemetry, "e", overHTTP(port, `["function"]`), 400, `{"errorMessage":"the extension has another subscription already","errorType":"ValidationError"}`},
		{Telemetry, "f", overHTTP(9001, `["function"]`), 400, `{"errorMessage":"port 9001 is reserved","errorType":"ValidationError"}`},
	} {
		if status, answer := h.Subscribe(c.api, c.name, c.body); status != c.status || string(answer) != c.want {
			t.Errorf("%d %s", status, answer)
		}
	}
	for i := range subscribersMax {
		status, answer := h.Subscribe(Telemetry, fmt.Sprint(i), good)
		if ok := i < subscribersMax-1; ok != (status == 200) {
			t.Errorf("%d: %d %s", i, status, answer)
		}
	}
	h.EndInit()
	for api, want := range map[API]string{
		Telemetry: `{"errorMessage":"Telemetry API subscription is closed","errorType":"Telemetry.SubscriptionClosed"}`,
		Logs:      `{"errorMessage":"Logs API subscription is closed already","errorType":"Logs.SubscriptionClosed"}`,
	} {
		if status, answer := h.Subscribe(api, "g", good); status != 403 || string(answer) != want {
			t.Errorf("%d %s", status, answer)
		}
	}
	h = newHub(t, func(o *Options) { o.Dial = nil })
	for api, want := range map[API]string{
		Telemetry: `{"errorMessage":"Telemetry API is not supported","errorType":"Telemetry.NotSupported"}`,
		Logs:      `{"errorMessage":"Logs API is not supported","errorType":"Logs.NotSupported"}`,
	} {
		if status, answer := h.Subscribe(api, "g", good); status != 202 || string(answer) != want {
			t.Errorf("%d %s", status, answer)
		}
	}
}

// TestRetry: a listener that refuses, or is not there, gets the same events later.
func TestRetry(t *testing.T) {
	l, port := listener(t)
	l.Close()
	h := newHub(t, nil)
	subscribed(t, h, Telemetry, "e", overHTTP(port, `["platform"]`))
	l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Skip("another took the port: ", err)
	}
	var once sync.Once
	events := make(chan event, 100)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var batch []event
		if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
			t.Error(err)
		}
		refused := false
		once.Do(func() { refused = true; w.WriteHeader(500) })
		if !refused {
			for _, e := range batch {
				events <- e
			}
		}
	})}
	go s.Serve(l)
	defer s.Close()
	await(t, events, "telemetrySubscription")
}

// TestHostile: listeners of every bad kind hold up nobody, and what is lost is told.
func TestHostile(t *testing.T) {
	for name, serve := range map[string]func(net.Conn){
		"never reads":     func(net.Conn) {},
		"never answers":   func(c net.Conn) { io.Copy(io.Discard, c) },
		"trickles":        func(c net.Conn) { trickle(c, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n") },
		"endless head":    func(c net.Conn) { flood(c, "HTTP/1.1 200 OK\r\n", "X: y\r\n") },
		"endless body":    func(c net.Conn) { flood(c, "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n") },
		"only continues":  func(c net.Conn) { flood(c, "", "HTTP/1.1 100 Continue\r\n\r\n") },
		"speaks nonsense": func(c net.Conn) { flood(c, "", "\x00\xff") },
		"hangs up":        func(c net.Conn) { c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, port := listener(t)
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					t.Cleanup(func() { c.Close() })
					go serve(c)
				}
			}()
			dropped := make(chan platform.LogsDropped, 1000)
			h := newHub(t, func(o *Options) {
				o.Dropped = func(d platform.LogsDropped) {
					select {
					case dropped <- d:
					default:
					}
				}
				o.tries = timing{dial: 100 * time.Millisecond, attempt: 30 * time.Millisecond}
			})
			subscribed(t, h, Telemetry, "bad", overHTTP(port, `["function"]`))
			good, goodPort := listener(t)
			events := takes(t, good, nil)
			subscribed(t, h, Telemetry, "good", overHTTP(goodPort, `["platform"]`))
			line := strings.Repeat("x", 64<<10)
			began := time.Now()
			for range 100 { // 6.4 MB, more than anybody keeps
				h.Line(time.Now(), platform.KindFunction, line)
			}
			if took := time.Since(began); took > patience {
				t.Errorf("writing took %v", took)
			}
			h.mu.Lock()
			bad := h.subscribers[0]
			h.mu.Unlock()
			bad.mu.Lock()
			held := bad.core.waitingBytes
			bad.mu.Unlock()
			if held > slack*maxBytesDefault {
				t.Errorf("%d bytes wait", held)
			}
			h.Event(time.Now(), platform.Start{RequestID: "id"})
			await(t, events, "platform.start")
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			h.Flush(ctx) // ends with ctx
		})
	}
}

func trickle(c net.Conn, head string) {
	io.WriteString(c, head)
	for {
		if _, err := io.WriteString(c, "x"); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func flood(c net.Conn, head, again string) {
	io.WriteString(c, head)
	for {
		if _, err := io.WriteString(c, strings.Repeat(again, 1000)); err != nil {
			return
		}
	}
}

// TestFreeze: a delivery that is on its way when the sandbox is frozen ends after it is thawed, however
// long that takes; others wait.
func TestFreeze(t *testing.T) {
	l, port := listener(t)
	release, seen := make(chan struct{}), make(chan struct{}, 10)
	events := takes(t, l, func(*http.Request) {
		seen <- struct{}{}
		<-release
	})
	h := newHub(t, nil)
	subscribed(t, h, Telemetry, "e", overHTTP(port, `["platform"]`))
	<-seen
	h.Pause()
	h.Event(time.Now(), platform.Start{RequestID: "later"})
	select {
	case <-seen:
		t.Error("delivered into a frozen sandbox, or twice")
	case <-time.After(500 * time.Millisecond): // more than a try may take
	}
	h.Resume()
	close(release)
	if got := await(t, events, "later"); len(got) != 2 {
		t.Errorf("%v", got)
	}
}

// TestFlush: the last events do not wait for a batch to fill.
func TestFlush(t *testing.T) {
	l, port := listener(t)
	events := takes(t, l, nil)
	h := newHub(t, nil)
	body := strings.Replace(string(overHTTP(port, `["platform"]`)), `"timeoutMs":25`, `"timeoutMs":30000`, 1)
	subscribed(t, h, Telemetry, "e", []byte(body))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	h.Flush(ctx)
	if ctx.Err() != nil {
		t.Error("it took its time")
	}
	select {
	case e := <-events:
		if e.Type != "platform.telemetrySubscription" {
			t.Error(e)
		}
	default:
		t.Error("not delivered when Flush returned")
	}
	h.Close()
	h.Flush(ctx) // nobody is left
	h.Close()
}

// spoken is a connection on which the listener has said everything.
type spoken struct {
	net.Conn
	*strings.Reader
}

func (s spoken) Read(p []byte) (int, error) { return s.Reader.Read(p) }

func TestAnswers(t *testing.T) {
	for said, want := range map[string]struct{ ok, keep bool }{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK":                                {true, true},
		"HTTP/1.1 204 No Content\r\n\r\n":                                               {true, true},
		"HTTP/1.1 202 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n":      {true, true},
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n":     {true, true},
		"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n":                                  {true, false},
		"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n":             {true, false},
		"HTTP/1.1 200 OK\r\n\r\n":                                                       {true, false}, // until the end
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nmore":                              {true, false},
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut":                               {true, false},
		"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + strings.Repeat("x", 99999): {true, false},
		"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n":                                  {false, true},
		"HTTP/1.1 301 Go\r\nLocation: http://example.com/\r\nContent-Length: 0\r\n\r\n": {false, true},
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*answerMax) + "\r\n\r\n":        {false, false},
		strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 5) + "HTTP/1.1 200 OK\r\n\r\n":  {false, false},
		"": {false, false}, "nonsense\r\n\r\n": {false, false},
	} {
		keep, err := Destination{Method: "POST"}.answer(spoken{Reader: strings.NewReader(said)})
		if keep != want.keep || (err == nil) != want.ok {
			t.Errorf("%.60q: %v, %v", said, keep, err)
		}
	}
}

// FuzzAnswer: whatever a listener says, little of it is read.
func FuzzAnswer(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
	f.Add("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n0\r\nX: y\r\n\r\n")
	f.Fuzz(func(t *testing.T, said string) {
		all := strings.NewReader(said + strings.Repeat("x", 2*answerMax))
		Destination{Method: "POST"}.answer(spoken{Reader: all})
		if read := int(all.Size()) - all.Len(); read > answerMax {
			t.Errorf("%d bytes were read", read)
		}
	})
}
