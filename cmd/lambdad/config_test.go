package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestConfigPrecedence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lambdad.yaml")
	if err := os.WriteFile(path, []byte("region: eu-west-1\nconcurrency: 7\ndrain-timeout: 3s\nauth: none\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LAMBDAD_CONCURRENCY", "8")
	t.Setenv("LAMBDAD_LOG_LEVEL", "debug")
	t.Setenv("LAMBDAD_AUTH", "sigv4")
	f := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	addConfigFlags(f)
	if err := f.Parse([]string{"--config", path, "--log-level", "warn"}); err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(f)
	if err != nil {
		t.Fatal(err)
	}
	if c.Region != "eu-west-1" || c.DrainTimeout != 3*time.Second {
		t.Errorf("file not read: region %q, drain-timeout %v", c.Region, c.DrainTimeout)
	}
	if c.Concurrency != 8 || c.Auth != "sigv4" {
		t.Errorf("environment does not beat the file: concurrency %d, auth %q", c.Concurrency, c.Auth)
	}
	if c.LogLevel != "warn" {
		t.Errorf("flag does not beat the environment: log-level %q", c.LogLevel)
	}
	if c.Listen != "127.0.0.1:4566" {
		t.Errorf("default lost: listen %q", c.Listen)
	}
	if !filepath.IsAbs(c.Data) {
		t.Errorf("data %q is not absolute", c.Data)
	}
}

func TestConfigRefusals(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		args       []string
	}{
		{"no loopback without authentication", "loopback", []string{"--auth=none", "--listen=0.0.0.0:4566"}},
		{"unknown auth", "--auth", []string{"--auth=basic"}},
		{"unknown isolation", "--isolation", []string{"--isolation=chroot"}},
		{"bad listen", "--listen", []string{"--listen=4566"}},
		{"short credentials", "--credentials-ttl", []string{"--credentials-ttl=1m"}},
		{"no concurrency", "--concurrency", []string{"--concurrency=0"}},
		{"no region", "--region", []string{"--region="}},
		{"no host's region", "--region", []string{"--region=US_EAST"}},
		{"no domain", "--domain", []string{"--domain=a b"}},
		{"empty part of a domain", "--domain", []string{"--domain=lambda..test"}},
		{"memory for no function", "--memory", []string{"--memory=127"}},
		{"negative window", "--pending-window", []string{"--pending-window=-1s"}},
		{"negative drain", "--drain-timeout", []string{"--drain-timeout=-1s"}},
		{"no image folder", "--image-folder", []string{"--image-folder=/nowhere/images"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := pflag.NewFlagSet("serve", pflag.ContinueOnError)
			addConfigFlags(f)
			if err := f.Parse(tc.args); err != nil {
				t.Fatal(err)
			}
			_, err := loadConfig(f)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one that names %s", err, tc.want)
			}
		})
	}
}

func TestConfigUnknownKey(t *testing.T) {
	for _, key := range []string{"regoin", "config"} { // a file does not name another
		path := filepath.Join(t.TempDir(), "lambdad.yaml")
		if err := os.WriteFile(path, []byte(key+": eu-west-1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		f := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		addConfigFlags(f)
		if err := f.Parse([]string{"--config", path}); err != nil {
			t.Fatal(err)
		}
		if _, err := loadConfig(f); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", key)) {
			t.Errorf("%s: error %v, want one that names the key", key, err)
		}
	}
}
