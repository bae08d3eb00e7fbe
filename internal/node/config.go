// Package node owns assembly: it constructs every room, hands each its doors,
// and runs them until it is told to stop. It holds no behaviour of its own and
// must never be imported by another room, because it imports them all.
package node

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/poller/destination"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/worker"
)

// Auth says how callers prove who they are.
type Auth string

const (
	// AuthSigV4 verifies every signature and evaluates IAM policies.
	AuthSigV4 Auth = "sigv4"
	// AuthNone accepts any key on loopback only.
	AuthNone Auth = "none"
)

// scalingRateMax: more new environments in 10 seconds no host makes.
const scalingRateMax = 1_000_000

// memoryLeastMiB is the memory of the smallest function. Source: Lambda developer guide, "Configure Lambda function memory".
const memoryLeastMiB = 128

// label is one part of a host name, which regions and our own domain become.
var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Config is everything `lambdad serve` can be told. The koanf tags are the names in
// the configuration file; flags use the same names, the environment LAMBDAD_
// and the name in upper case with underscores.
type Config struct {
	Data   string `koanf:"data"`
	Listen string `koanf:"listen"`
	Region string `koanf:"region"`
	Auth   Auth   `koanf:"auth"`
	// Domain is accepted in Host names such as lambda.REGION.DOMAIN.
	Domain string `koanf:"domain"`

	// Isolation is how functions run that have no tag lambdad:isolation: "container", "gvisor"
	// or "microvm".
	Isolation string `koanf:"isolation"`
	// IsolationFloor is what no function may fall below: a name for every account, or
	// ACCOUNT=NAME for one.
	IsolationFloor []string `koanf:"isolation-floor"`
	// Runsc is the path of gVisor's runsc; "" looks in the data folder's tools, beside lambdad and in PATH.
	Runsc string `koanf:"runsc"`
	// Firecracker is the path of that monitor of virtual machines; "" looks in the data folder's
	// tools, beside lambdad and in PATH; "off" leaves all machines to QEMU.
	Firecracker string `koanf:"firecracker"`
	// Runtimes is "exact" or "nearest": whether a runtime that this machine
	// has not may be served by its nearest version of the language.
	Runtimes string `koanf:"runtimes"`
	// ImageFolder is where layout folders and archives may be that functions name as their
	// image; "" allows none.
	ImageFolder string `koanf:"image-folder"`
	// Templates is "auto" or "off": whether environments of a function seen before are copies of
	// one that has run its INIT. SnapStart does not depend on it.
	Templates string `koanf:"templates"`
	// StartedRuntimes is how many interpreters wait for functions at most.
	StartedRuntimes int `koanf:"started-runtimes"`
	// Egress is "auto", "on" or "off": whether functions reach the internet.
	Egress string `koanf:"egress"`

	// Concurrency is the account's limit of concurrent executions.
	Concurrency int `koanf:"concurrency"`
	// ScalingRate is how many new environments a function gets in 10 seconds.
	ScalingRate int `koanf:"scaling-rate"`
	// MemoryMiB is what all sandboxes together may promise; 0 takes 80 % of the
	// machine's memory.
	MemoryMiB int `koanf:"memory"`
	// EventTimeScale stretches the pauses and ages of asynchronous invokes: 0.01 makes a minute
	// of AWS's 0.6 seconds, for tests.
	EventTimeScale float64 `koanf:"event-time-scale"`
	// Endpoint are SERVICE=URL settings: where destinations of asynchronous invokes answer that are
	// not here, which are sns, events and s3, and where sqs answers for event sources that are not.
	Endpoint []string `koanf:"endpoint"`
	// SigningProfile are ARN=FILE settings: the certificates of the publishers that code signing configs name.
	SigningProfile []string `koanf:"signing-profile"`
	// KMSKeyFolder holds the keys that encrypt functions' variables; "" is keys in the data folder.
	KMSKeyFolder string `koanf:"kms-key-folder"`
	// CredentialsTTL is how long a function's temporary credentials live.
	CredentialsTTL time.Duration `koanf:"credentials-ttl"`
	// PendingWindow is how long a new or changed function stays Pending or InProgress.
	PendingWindow time.Duration `koanf:"pending-window"`
	// DrainTimeout bounds how long a stop waits for running invokes.
	DrainTimeout time.Duration `koanf:"drain-timeout"`

	LogLevel  string `koanf:"log-level"`
	LogFormat string `koanf:"log-format"`
}

// Defaults are what a laptop needs.
func Defaults() Config {
	return Config{
		Data:      "data",
		Listen:    "127.0.0.1:4566",
		Region:    "us-east-1",
		Auth:      AuthSigV4,
		Domain:    "localhost.lambdad",
		Isolation: string(record.IsolationContainer),
		Runtimes:  "exact",
		Templates: string(worker.TemplatesAuto),

		StartedRuntimes: worker.StartedMaxDefault,
		Egress:          "auto",
		Concurrency:     1000,
		ScalingRate:     1000,
		EventTimeScale:  1,
		CredentialsTTL:  6 * time.Hour,
		PendingWindow:   300 * time.Millisecond,
		DrainTimeout:    15 * time.Minute, // Lambda's longest timeout
		LogLevel:        "info",
		LogFormat:       "text",
	}
}

// Check tells what is wrong with the configuration, all at once, and makes the data
// folder's path absolute.
func (c *Config) Check() error {
	var errs []error
	oneOf := func(name, value string, allowed ...string) {
		for _, a := range allowed {
			if value == a {
				return
			}
		}
		errs = append(errs, fmt.Errorf("--%s is %q: use one of %s", name, value, strings.Join(allowed, ", ")))
	}
	oneOf("auth", string(c.Auth), string(AuthSigV4), string(AuthNone))
	if _, err := record.NewIsolationPolicy(c.Isolation, c.IsolationFloor); err != nil {
		errs = append(errs, fmt.Errorf("--isolation, --isolation-floor: %w", err))
	}
	oneOf("runtimes", c.Runtimes, "exact", "nearest")
	oneOf("templates", c.Templates, string(worker.TemplatesAuto), string(worker.TemplatesOff))
	if c.StartedRuntimes < 0 {
		errs = append(errs, fmt.Errorf("--started-runtimes is %d: use 0 for none", c.StartedRuntimes))
	}
	oneOf("egress", c.Egress, "auto", "on", "off")
	oneOf("log-level", c.LogLevel, "debug", "info", "warn", "error")
	oneOf("log-format", c.LogFormat, "text", "json")
	if !label.MatchString(c.Region) {
		errs = append(errs, fmt.Errorf("--region is %q: use an AWS region name such as us-east-1", c.Region))
	}
	for _, part := range strings.Split(c.Domain, ".") {
		if !label.MatchString(part) {
			errs = append(errs, fmt.Errorf("--domain is %q: use a domain in lower case", c.Domain))
			break
		}
	}
	if c.Concurrency < 1 {
		errs = append(errs, fmt.Errorf("--concurrency is %d: it must be at least 1", c.Concurrency))
	}
	if c.ScalingRate < 1 || c.ScalingRate > scalingRateMax {
		errs = append(errs, fmt.Errorf("--scaling-rate is %d: it must be between 1 and %d", c.ScalingRate, scalingRateMax))
	}
	if !(c.EventTimeScale > 0 && c.EventTimeScale <= 1) {
		errs = append(errs, fmt.Errorf("--event-time-scale is %v: it must be above 0 and at most 1", c.EventTimeScale))
	}
	if _, err := destination.ParseEndpoints(c.Endpoint); err != nil {
		errs = append(errs, fmt.Errorf("--endpoint: %w", err))
	}
	if c.MemoryMiB != 0 && c.MemoryMiB < memoryLeastMiB {
		errs = append(errs, fmt.Errorf("--memory is %d: it must be 0 (automatic) or at least %d MiB, what the smallest function has", c.MemoryMiB, memoryLeastMiB))
	}
	if c.PendingWindow < 0 || c.DrainTimeout < 0 {
		errs = append(errs, fmt.Errorf("--pending-window is %v, --drain-timeout is %v: neither may be below 0", c.PendingWindow, c.DrainTimeout))
	}
	if c.CredentialsTTL < 15*time.Minute+time.Minute {
		// An environment is leased only if its credentials outlive the function's timeout.
		errs = append(errs, fmt.Errorf("--credentials-ttl is %v: it must be at least 16m, a minute more than the longest function timeout", c.CredentialsTTL))
	}
	if c.ImageFolder != "" && !filepath.IsAbs(c.ImageFolder) {
		errs = append(errs, fmt.Errorf("--image-folder is %q: use an absolute path", c.ImageFolder))
	}
	if c.ImageFolder != "" {
		if _, err := os.ReadDir(c.ImageFolder); err != nil {
			errs = append(errs, fmt.Errorf("--image-folder: %w", err))
		}
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		errs = append(errs, fmt.Errorf("--listen is %q: use HOST:PORT, e.g. 127.0.0.1:4566", c.Listen))
	} else if c.Auth == AuthNone && !isLoopback(host) {
		errs = append(errs, fmt.Errorf("--auth=none with --listen %s: without authentication only a loopback address is bound; use 127.0.0.1 or --auth=sigv4", c.Listen))
	}
	if c.Data == "" {
		errs = append(errs, errors.New("--data is empty: name a folder"))
	} else if abs, err := filepath.Abs(c.Data); err != nil {
		errs = append(errs, fmt.Errorf("--data %q: %w", c.Data, err))
	} else {
		c.Data = abs
	}
	return errors.Join(errs...)
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// startedMax is StartedRuntimes as the worker has it, to which 0 means its default.
func (c *Config) startedMax() int {
	if c.StartedRuntimes == 0 {
		return -1
	}
	return c.StartedRuntimes
}
