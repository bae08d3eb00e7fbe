// Package bill owns what usage costs: price tables, the arithmetic of a bill, which is exact,
// and what a server that always runs would cost in its place. It is pure. It must never import
// store or read a clock: a bill of the same usage and prices is always the same.
package bill

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"regexp"
)

// pricesBytesMax bounds a price file.
const pricesBytesMax = 1 << 20

// awsPrices is the default table. Source and date are in the file.
//
//go:embed prices.json
var awsPrices []byte

// Prices is a price table.
type Prices struct {
	Source   string `json:"source"`
	Date     string `json:"date"`
	Currency string `json:"currency"`
	// RequestsPerMillion is for a million requests.
	RequestsPerMillion Price `json:"requestsPerMillion"`
	// Architectures are by the function's: x86_64, arm64.
	Architectures map[string]ComputePrices `json:"architectures"`
	// StorageGBSecond is for ephemeral storage over 512 MB.
	StorageGBSecond Price `json:"storageGBSecond"`
	// SnapStartRestoreGB is for each GB of memory size that is restored.
	SnapStartRestoreGB Price `json:"snapStartRestoreGB"`
	// StreamingGB is for each GB of streamed answers beyond the first 6 MB of each.
	StreamingGB Price `json:"streamingGB"`
	// Servers are what the comparison chooses from, the smallest memory first.
	Servers []Server `json:"servers"`
}

// ComputePrices are an architecture's.
type ComputePrices struct {
	// Duration tiers apply to what an account consumes in a month; the last has no end.
	Duration            []Tier `json:"duration"`
	ProvisionedGBSecond Price  `json:"provisionedGBSecond"`
	// ProvisionedDurationGBSecond is for invokes in provisioned environments, in place of Duration.
	ProvisionedDurationGBSecond Price `json:"provisionedDurationGBSecond"`
}

// Tier is a price for so many GB-seconds; 0 is for all the rest.
type Tier struct {
	GBSeconds int64 `json:"gbSeconds"`
	Price     Price `json:"price"`
}

// Server is a machine that can be rented by the hour.
type Server struct {
	Name      string `json:"name"`
	MemoryMiB int64  `json:"memoryMiB"`
	VCPU      int    `json:"vcpu"`
	PerHour   Price  `json:"perHour"`
}

// Price is an exact amount of money, in JSON a decimal text such as "0.0000166667".
type Price struct{ rat big.Rat }

var decimal = regexp.MustCompile(`^[0-9]{1,12}(\.[0-9]{1,18})?$`)

// UnmarshalJSON takes decimal text only: a binary fraction would not be the price.
func (p *Price) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf("a price is a decimal number in quotes: %w", err)
	}
	if !decimal.MatchString(text) {
		return fmt.Errorf("a price is a decimal number in quotes, not %q", text)
	}
	p.rat.SetString(text)
	return nil
}

// Default is AWS's published price table.
func Default() Prices {
	p, err := ReadPrices(bytes.NewReader(awsPrices))
	if err != nil {
		panic("bill: the price table of this program cannot be read: " + err.Error())
	}
	return p
}

// ReadPrices reads a table in the form of the default one.
func ReadPrices(r io.Reader) (Prices, error) {
	var p Prices
	d := json.NewDecoder(io.LimitReader(r, pricesBytesMax))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return Prices{}, fmt.Errorf("price table: %w", err)
	}
	return p, p.check()
}

func (p *Prices) check() error {
	var errs []error
	for _, name := range []string{"x86_64", "arm64"} {
		a, ok := p.Architectures[name]
		if !ok || len(a.Duration) == 0 {
			errs = append(errs, fmt.Errorf("price table: no prices for %s", name))
			continue
		}
		for i, t := range a.Duration {
			if last := i == len(a.Duration)-1; last != (t.GBSeconds == 0) || t.GBSeconds < 0 {
				errs = append(errs, fmt.Errorf("price table: %s: every tier but the last says how many gbSeconds it is for", name))
			}
		}
	}
	if len(p.Servers) == 0 {
		errs = append(errs, errors.New("price table: no servers to compare with"))
	}
	for i, s := range p.Servers {
		if s.MemoryMiB <= 0 || i > 0 && s.MemoryMiB < p.Servers[i-1].MemoryMiB {
			errs = append(errs, errors.New("price table: servers are in the order of their memory"))
		}
	}
	return errors.Join(errs...)
}
