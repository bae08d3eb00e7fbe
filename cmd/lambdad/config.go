package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"github.com/lambdad/lambdad/internal/node"
)

const envPrefix = "LAMBDAD_"

// addConfigFlags declares one flag for each setting of node.Config, with its default.
func addConfigFlags(f *pflag.FlagSet) {
	d := node.Defaults()
	f.String("config", "", "file with these settings in YAML (names as the flags)")
	f.String("data", d.Data, "folder for everything that lambdad keeps")
	f.String("listen", d.Listen, "address to listen on")
	f.String("region", d.Region, "AWS region of this node, where a request names none")
	f.String("auth", string(d.Auth), "sigv4: verify signatures and IAM policies; none: any key works, loopback only")
	f.String("domain", d.Domain, "own domain, accepted in host names such as lambda.REGION.DOMAIN")
	f.String("isolation", d.Isolation, "isolation of functions without the tag lambdad:isolation: container, gvisor or microvm")
	f.StringSlice("isolation-floor", d.IsolationFloor, "least isolation that a function may have: a name for all accounts, ACCOUNT=NAME for one; several with commas")
	f.String("runsc", d.Runsc, "gVisor's runsc, for the isolation gvisor; empty looks in DATA/tools, beside lambdad and in PATH")
	f.String("firecracker", d.Firecracker, "Firecracker, for the isolation microvm; empty looks in DATA/tools, beside lambdad and in PATH; off: QEMU only")
	f.String("runtimes", d.Runtimes, "exact: only the version a function names; nearest: the closest this machine has")
	f.String("image-folder", d.ImageFolder, "folder of OCI layouts and archives of docker save that functions may name as their image (oci:PATH, docker-archive:PATH); empty allows none")
	f.String("templates", d.Templates, "auto: start environments of a function seen before as copies of one after its INIT; off: only where SnapStart asks")
	f.Int("started-runtimes", d.StartedRuntimes, "interpreters that wait for functions, at most; 0 starts none ahead")
	f.String("egress", d.Egress, "let functions reach the internet: auto (where this machine can), on, off")
	f.Int("concurrency", d.Concurrency, "concurrent executions an account may have")
	f.Float64("event-time-scale", d.EventTimeScale, "length of the pauses between attempts of asynchronous invokes, as a share of AWS's (tests take less than 1)")
	f.StringSlice("endpoint", d.Endpoint, "SERVICE=URL of what is not here: sns, events or s3 of destinations, sqs, kinesis or dynamodbstreams of event sources; several with commas")
	f.String("kms-key-folder", d.KMSKeyFolder, "the folder of the keys that encrypt functions' environment variables (lambdad key); keys in the data folder by default")
	f.StringSlice("signing-profile", d.SigningProfile, "ARN=FILE of a publisher whose signed code is trusted: a signing profile's version and its certificate in PEM; several with commas")
	f.Int("scaling-rate", d.ScalingRate, "new execution environments that a function may get in 10 seconds")
	f.Int("memory", d.MemoryMiB, "MiB that all sandboxes together may promise; 0: 80 % of the machine's")
	f.Duration("credentials-ttl", d.CredentialsTTL, "life of the temporary credentials that a function gets")
	f.Duration("pending-window", d.PendingWindow, "time a new or changed function stays Pending or InProgress")
	f.Duration("drain-timeout", d.DrainTimeout, "longest wait for running invokes on stop")
	f.String("log-level", d.LogLevel, "debug, info, warn or error")
	f.String("log-format", d.LogFormat, "text or json")
}

// loadConfig merges, weakest first: defaults, file, environment, flags given.
func loadConfig(f *pflag.FlagSet) (node.Config, error) {
	k := koanf.New(".")
	path, _ := f.GetString("config")
	if path == "" {
		path = os.Getenv(envPrefix + "CONFIG")
	}
	if path != "" {
		if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
			return node.Config{}, fmt.Errorf("configuration file %s: %w", path, err)
		}
		for _, key := range k.Keys() {
			if f.Lookup(key) == nil || key == "config" || key == "help" {
				return node.Config{}, fmt.Errorf("configuration file %s: no setting is called %q; `lambdad serve --help` lists them", path, key)
			}
		}
	}
	fromEnv := env.Provider(".", env.Opt{
		Prefix: envPrefix,
		TransformFunc: func(key, value string) (string, any) {
			name := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(key, envPrefix)), "_", "-")
			if name == "config" || f.Lookup(name) == nil {
				return "", nil
			}
			return name, value
		},
	})
	if err := k.Load(fromEnv, nil); err != nil {
		return node.Config{}, fmt.Errorf("environment: %w", err)
	}
	// posflag leaves a value alone that is already set unless the flag was given.
	if err := k.Load(posflag.Provider(f, ".", k), nil); err != nil {
		return node.Config{}, fmt.Errorf("flags: %w", err)
	}
	c := node.Defaults()
	if err := k.Unmarshal("", &c); err != nil {
		return node.Config{}, fmt.Errorf("configuration: %w", err)
	}
	return c, c.Check()
}
