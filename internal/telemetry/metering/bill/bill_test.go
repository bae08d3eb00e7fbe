package bill

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/telemetry/metering"
)

const gbSecond = 1024 * 1000 // in MiB milliseconds

func line(account aws.AccountID, function, architecture string, u metering.Usage) Line {
	return Line{Key: metering.Key{Account: account, Region: "us-east-1", Function: function, Version: "$LATEST", Architecture: architecture}, Usage: u}
}

func TestCosts(t *testing.T) {
	const billion = 1_000_000_000
	for name, tc := range map[string]struct {
		months []Month
		want   string
	}{
		"nothing": {nil, "0.0000000000"},
		// The worked example of AWS's price page, before its free tier: 3 million
		// requests of 120 ms at 1,536 MB: 540,000 GB-s.
		"a food ordering app": {[]Month{{line("000000000000", "f", "x86_64", metering.Usage{Requests: 3_000_000, MemoryMS: 540_000 * gbSecond})}}, "9.6000180000"},
		"the same on arm":     {[]Month{{line("000000000000", "f", "arm64", metering.Usage{Requests: 3_000_000, MemoryMS: 540_000 * gbSecond})}}, "7.8000360000"},
		// A single millisecond at 128 MB: far below a cent, and not nothing.
		"one millisecond": {[]Month{{line("000000000000", "f", "x86_64", metering.Usage{Requests: 1, MemoryMS: 128})}}, "0.0000002021"},
		"first tier full": {[]Month{{line("000000000000", "f", "x86_64", metering.Usage{MemoryMS: 6 * billion * gbSecond})}}, "100000.2000000000"},
		"all tiers": {[]Month{{line("000000000000", "f", "x86_64", metering.Usage{MemoryMS: 16 * billion / 2 * gbSecond}),
			line("000000000000", "g", "x86_64", metering.Usage{MemoryMS: 16 * billion / 2 * gbSecond})}}, "248333.6000000000"},
		// Tiers are an account's, an architecture's and a month's own.
		"tiers begin anew": {[]Month{
			{line("000000000000", "f", "x86_64", metering.Usage{MemoryMS: 6 * billion * gbSecond}), line("111111111111", "f", "x86_64", metering.Usage{MemoryMS: 6 * billion * gbSecond})},
			{line("000000000000", "f", "x86_64", metering.Usage{MemoryMS: 6 * billion * gbSecond})},
		}, "300000.6000000000"},
		"arm's tiers":       {[]Month{{line("000000000000", "f", "arm64", metering.Usage{MemoryMS: 7_500_000_001 * gbSecond})}}, "100000.5000120001"},
		"ephemeral storage": {[]Month{{line("000000000000", "f", "x86_64", metering.Usage{StorageMS: 1_000_000 * gbSecond})}}, "0.0309000000"},
		// 10 GB for an hour provisioned, of which 100 GB-s ran.
		"provisioned":     {[]Month{{line("000000000000", "f", "x86_64", metering.Usage{ProvisionedMS: 36_000 * gbSecond, ProvisionedRunMS: 100 * gbSecond, MemoryMS: 100 * gbSecond})}}, "0.1509734200"},
		"restores":        {[]Month{{line("000000000000", "f", "x86_64", metering.Usage{Restores: 1000, RestoreMiB: 1000 * 512})}}, "0.0698999000"},
		"streamed":        {[]Month{{line("000000000000", "f", "x86_64", metering.Usage{BytesOut: 600 << 30, StreamedBytes: 500 << 30})}}, "4.0000000000"},
		"no architecture": {[]Month{{line("000000000000", "f", "", metering.Usage{MemoryMS: 1_000_000 * gbSecond})}}, "16.6667000000"},
	} {
		t.Run(name, func(t *testing.T) {
			by, err := ParseBy("function")
			if err != nil {
				t.Fatal(err)
			}
			b := Make(tc.months, by, Default(), time.Hour)
			if got := b.Total.Cost.Total().String(); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
			var sum Cost
			for i := range b.Groups {
				sum.add(&b.Groups[i].Cost)
			}
			if got := sum.Total().String(); got != tc.want {
				t.Errorf("the rows add up to %s, want %s", got, tc.want)
			}
		})
	}
}

func TestGroups(t *testing.T) {
	f := line("000000000000", "f", "x86_64", metering.Usage{Requests: 1})
	f.Tags = map[string]string{"team": "blue"}
	g := line("111111111111", "g", "x86_64", metering.Usage{Requests: 2})
	g.Key.Tenant = "acme"
	for by, want := range map[string]string{
		"account":  "000000000000 1, 111111111111 2",
		"function": "000000000000:us-east-1:f 1, 111111111111:us-east-1:g 2",
		"version":  "000000000000:us-east-1:f:$LATEST 1, 111111111111:us-east-1:g:$LATEST 2",
		"tenant":   "000000000000:us-east-1:f - 1, 111111111111:us-east-1:g acme 2",
		"tag=team": "(untagged) 2, blue 1",
		"tag=":     "", "color": "",
	} {
		parsed, err := ParseBy(by)
		if (err != nil) != (want == "") {
			t.Errorf("%s: %v", by, err)
		}
		if err != nil {
			continue
		}
		var rows []string
		for _, group := range Make([]Month{{f, g}}, parsed, Default(), 0).Groups {
			rows = append(rows, group.Name+" "+string(rune('0'+group.Usage.Requests)))
		}
		if got := strings.Join(rows, ", "); got != want {
			t.Errorf("%s: %s, want %s", by, got, want)
		}
	}
}

func TestAlwaysOn(t *testing.T) {
	by, _ := ParseBy("account")
	for _, tc := range []struct {
		peak   int64
		server string
		count  int64
		cost   string
	}{
		{0, "t3.nano", 1, "3.7440000000"},
		{256, "t3.nano", 1, "3.7440000000"},
		{257, "t3.micro", 1, "7.4880000000"},
		{8000, "m6i.xlarge", 1, "138.2400000000"},
		{524288 - 256, "m6i.32xlarge", 1, "4423.6800000000"},
		{524288 - 255, "m6i.32xlarge", 2, "8847.3600000000"},
	} {
		months := []Month{{line("000000000000", "", "", metering.Usage{PeakRunningMiB: tc.peak / 2})}, {line("000000000000", "", "", metering.Usage{PeakRunningMiB: tc.peak})}}
		a := Make(months, by, Default(), 720*time.Hour).Always
		if a.Server.Name != tc.server || a.Count != tc.count || a.Cost.String() != tc.cost {
			t.Errorf("%d MiB: %d %s for %s, want %d %s for %s", tc.peak, a.Count, a.Server.Name, a.Cost, tc.count, tc.server, tc.cost)
		}
	}
}

func TestPriceTables(t *testing.T) {
	for _, bad := range []string{
		``, `{}`, `{"unknown":1}`, `{"requestsPerMillion":0.2}`, `{"requestsPerMillion":"-1"}`, `{"requestsPerMillion":"1e9"}`,
		strings.Replace(string(awsPrices), `"gbSeconds": 0,`, `"gbSeconds": 5,`, 1),
		strings.Replace(string(awsPrices), `"arm64"`, `"arm"`, 1),
		strings.Replace(string(awsPrices), `"memoryMiB": 512,`, `"memoryMiB": 5120000,`, 1),
	} {
		if _, err := ReadPrices(strings.NewReader(bad)); err == nil {
			t.Errorf("was read: %.60s", bad)
		}
	}
}

func FuzzReadPrices(f *testing.F) {
	f.Add(awsPrices)
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ReadPrices(bytes.NewReader(b))
		if err != nil {
			return
		}
		by, _ := ParseBy("account")
		Make([]Month{{line("000000000000", "f", "arm64", metering.Usage{Requests: 1, MemoryMS: 1 << 40})}}, by, p, time.Hour)
	})
}
