package telemetryapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/telemetry/platform"
)

// API is the way by which an extension subscribes.
type API int

// Both deliver the same; the Logs API is the older one.
const (
	Telemetry API = iota
	Logs
)

// Bounds and defaults of buffering. Source: Lambda developer guide, "Lambda Telemetry API reference"
// and "Configuring memory usage and buffering"; for the default of maxItems the two differ, and AWS's
// published emulator takes the guide's.
const (
	maxItemsMin, maxItemsMax, maxItemsDefault    = 1000, 10_000, 10_000
	maxBytesMin, maxBytesMax, maxBytesDefault    = 256 << 10, 1 << 20, 256 << 10
	timeoutMsMin, timeoutMsMax, timeoutMsDefault = 25, 30_000, 1000
)

// BodyMax bounds a request.
const BodyMax = 64 << 10

// host is how the sandbox's own loopback is called inside.
const (
	hostName      = "sandbox.localdomain"
	hostNameShort = "sandbox"
)

// types are what can be subscribed to.
var types = []string{"platform", platform.KindFunction, platform.KindExtension}

// Subscription is what an extension asked for.
type Subscription struct {
	API         API
	Schema      platform.Schema
	Types       []string
	Buffering   Buffering
	Destination Destination
}

// Buffering bounds a batch.
type Buffering struct {
	MaxItems, MaxBytes int
	Timeout            time.Duration
}

// Destination is a listener inside the sandbox.
type Destination struct {
	TCP    bool // else HTTP
	Port   int
	Method string // of HTTP
	Path   string // with its query
}

// Refusal is the answer to a subscription that is not taken.
type Refusal struct {
	Status        int
	Type, Message string
}

func (r *Refusal) Error() string { return r.Type + ": " + r.Message }

func (r *Refusal) body() []byte {
	b, err := json.Marshal(struct {
		ErrorMessage string `json:"errorMessage"`
		ErrorType    string `json:"errorType"`
	}{r.Message, r.Type})
	if err != nil {
		panic("telemetryapi: two strings that cannot be JSON: " + err.Error())
	}
	return b
}

// invalid is a request with faults, all of which are told. Source: Lambda developer guide, the error
// examples of both APIs' Subscribe: several faults in one message; the older API's type has its name
// before it.
func (api API) invalid(faults ...string) *Refusal {
	name := "ValidationError"
	if api == Logs {
		name = "Logs.ValidationError"
	}
	return &Refusal{Status: http.StatusBadRequest, Type: name, Message: strings.Join(faults, "; ")}
}

// closed is the answer once INIT is over. Source: AWS's published runtime interface code.
func (api API) closed() *Refusal {
	if api == Logs {
		return &Refusal{http.StatusForbidden, "Logs.SubscriptionClosed", "Logs API subscription is closed already"}
	}
	return &Refusal{http.StatusForbidden, "Telemetry.SubscriptionClosed", "Telemetry API subscription is closed"}
}

// notSupported is the answer where nothing can be delivered. Source: as closed, and the guide's
// response code 202.
func (api API) notSupported() *Refusal {
	if api == Logs {
		return &Refusal{http.StatusAccepted, "Logs.NotSupported", "Logs API is not supported"}
	}
	return &Refusal{http.StatusAccepted, "Telemetry.NotSupported", "Telemetry API is not supported"}
}

// request is the form of a body; pointers tell what was left out.
type request struct {
	SchemaVersion *string  `json:"schemaVersion"`
	Types         []string `json:"types"`
	Buffering     *struct {
		MaxItems  *float64 `json:"maxItems"`
		MaxBytes  *float64 `json:"maxBytes"`
		TimeoutMs *float64 `json:"timeoutMs"`
	} `json:"buffering"`
	Destination *struct {
		Protocol string   `json:"protocol"`
		URI      *string  `json:"URI"`
		Port     *float64 `json:"port"`
		Method   *string  `json:"method"`
		Encoding *string  `json:"encoding"`
	} `json:"destination"`
}

// Decode reads a subscription. reserved are ports that nobody may have sent to. An error is a *Refusal.
func Decode(api API, body []byte, reserved ...int) (Subscription, error) {
	var r request
	if err := json.Unmarshal(body, &r); err != nil {
		return Subscription{}, api.invalid("the request is not valid JSON: " + err.Error())
	}
	d := decoding{s: Subscription{API: api}, reserved: reserved}
	d.schema(r.SchemaVersion)
	d.destination(&r)
	d.types(r.Types)
	d.buffering(&r)
	if len(d.faults) > 0 {
		return Subscription{}, api.invalid(d.faults...)
	}
	return d.s, nil
}

// decoding gathers faults.
type decoding struct {
	s        Subscription
	reserved []int
	faults   []string
}

func (d *decoding) fault(format string, of ...any) {
	d.faults = append(d.faults, fmt.Sprintf(format, of...))
}

func (d *decoding) schema(version *string) {
	known := []platform.Schema{platform.Telemetry20220701, platform.Telemetry20221213, platform.Telemetry20250129}
	if d.s.API == Logs {
		known = []platform.Schema{platform.Logs20200815, platform.Logs20210318}
		d.s.Schema = platform.Logs20200815 // the Logs API's default
	}
	switch {
	case version != nil:
		if d.s.Schema = platform.Schema(*version); !slices.Contains(known, d.s.Schema) {
			d.fault("schemaVersion should be one of %v", known)
		}
	case d.s.API == Telemetry:
		d.fault("schemaVersion is not provided")
	}
}

func (d *decoding) types(asked []string) {
	if len(asked) == 0 {
		d.fault("types should not be empty")
	}
	for _, t := range asked {
		if !slices.Contains(types, t) {
			d.fault("types should be of %v", types)
			return
		}
		if !slices.Contains(d.s.Types, t) {
			d.s.Types = append(d.s.Types, t)
		}
	}
}

func (d *decoding) buffering(r *request) {
	d.s.Buffering = Buffering{maxItemsDefault, maxBytesDefault, timeoutMsDefault * time.Millisecond}
	if r.Buffering == nil {
		return
	}
	d.bounded("maxItems", r.Buffering.MaxItems, maxItemsMin, maxItemsMax, func(n int) { d.s.Buffering.MaxItems = n })
	d.bounded("maxBytes", r.Buffering.MaxBytes, maxBytesMin, maxBytesMax, func(n int) { d.s.Buffering.MaxBytes = n })
	d.bounded("timeoutMs", r.Buffering.TimeoutMs, timeoutMsMin, timeoutMsMax, func(n int) {
		d.s.Buffering.Timeout = time.Duration(n) * time.Millisecond
	})
}

func (d *decoding) bounded(name string, v *float64, low, high int, set func(int)) {
	if v == nil {
		return
	}
	if *v < float64(low) || *v > float64(high) || *v != float64(int(*v)) {
		d.fault("buffering.%s should be an integer between %d and %d", name, low, high)
		return
	}
	set(int(*v))
}

func (d *decoding) destination(r *request) {
	to := r.Destination
	if to == nil {
		d.fault("destination is not provided")
		return
	}
	switch to.Protocol {
	case "HTTP":
		d.http(to.URI)
		d.method(to.Method)
		if to.Encoding != nil && *to.Encoding != "JSON" {
			d.fault("destination.encoding should be JSON")
		}
	case "TCP":
		d.s.Destination.TCP = true
		if to.Port == nil {
			d.fault("destination.port is not provided")
			return
		}
		if *to.Port < 1 || *to.Port > 65535 || *to.Port != float64(int(*to.Port)) {
			d.fault("destination.port should be an integer between 1 and 65535")
			return
		}
		d.port(int(*to.Port))
	default:
		d.fault("destination.protocol should be HTTP or TCP")
	}
}

func (d *decoding) http(uri *string) {
	if uri == nil || *uri == "" {
		d.fault("URI is not provided")
		return
	}
	u, err := url.Parse(*uri)
	if err != nil {
		d.fault("URI is not valid")
		return
	}
	if u.Scheme != "http" {
		d.fault("URI scheme should be http")
	}
	if h := strings.ToLower(u.Hostname()); h != hostName && h != hostNameShort || u.User != nil {
		d.fault("URI host should be %s", hostName)
	}
	d.s.Destination.Path = u.RequestURI()
	if u.Port() == "" {
		d.fault("URI port is not provided")
		return
	}
	n, err := strconv.Atoi(u.Port())
	if err != nil || n < 1 || n > 65535 {
		d.fault("URI port is not valid")
		return
	}
	d.port(n)
}

// method: the older API can be asked for PUT. Source: "Lambda Logs API", Destination protocols.
func (d *decoding) method(asked *string) {
	d.s.Destination.Method = http.MethodPost
	if asked == nil {
		return
	}
	if *asked != http.MethodPost && (d.s.API != Logs || *asked != http.MethodPut) {
		d.fault("destination.method should be POST%s", map[API]string{Logs: " or PUT"}[d.s.API])
		return
	}
	d.s.Destination.Method = *asked
}

func (d *decoding) port(n int) {
	if slices.Contains(d.reserved, n) {
		d.fault("port %d is reserved", n)
	}
	d.s.Destination.Port = n
}
