package bill

import (
	"cmp"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/telemetry/metering"
)

// Untagged is the group of functions without the tag that a bill is grouped by.
const Untagged = "(untagged)"

// serverReserveMiB is what a server keeps for its system and is no function's.
const serverReserveMiB = 256

// Line is usage of one key, with its function's tags.
type Line struct {
	Key   metering.Key
	Usage metering.Usage
	Tags  map[string]string
}

// Month is the usage of a calendar month, or of a part of one: tiers begin anew each month.
type Month []Line

// By groups lines; ParseBy makes one.
type By struct {
	Name string
	of   func(*Line) string
}

// ParseBy reads "account", "function", "version", "tenant" or "tag=KEY".
func ParseBy(text string) (By, error) {
	by := By{Name: text}
	tag, isTag := strings.CutPrefix(text, "tag=")
	switch {
	case text == "account":
		by.of = func(l *Line) string { return string(l.Key.Account) }
	case text == "function":
		by.of = func(l *Line) string { return functionOf(l) }
	case text == "version":
		by.of = func(l *Line) string { return functionOf(l) + ":" + l.Key.Version }
	case text == "tenant":
		by.of = func(l *Line) string { return functionOf(l) + " " + cmp.Or(l.Key.Tenant, "-") }
	case isTag && tag != "":
		by.of = func(l *Line) string { return cmp.Or(l.Tags[tag], Untagged) }
	default:
		return By{}, fmt.Errorf("--by is %q: use account, function, version, tenant or tag=KEY", text)
	}
	return by, nil
}

func functionOf(l *Line) string {
	return string(l.Key.Account) + ":" + string(l.Key.Region) + ":" + l.Key.Function
}

// Cost is what usage costs, part by part.
type Cost struct {
	Requests, Duration, Storage, Provisioned, SnapStart, Streaming Money
}

// Total is the sum of all parts.
func (c *Cost) Total() Money {
	var sum Money
	for _, part := range []*Money{&c.Requests, &c.Duration, &c.Storage, &c.Provisioned, &c.SnapStart, &c.Streaming} {
		sum.add(&part.rat)
	}
	return sum
}

func (c *Cost) add(o *Cost) {
	c.Requests.add(&o.Requests.rat)
	c.Duration.add(&o.Duration.rat)
	c.Storage.add(&o.Storage.rat)
	c.Provisioned.add(&o.Provisioned.rat)
	c.SnapStart.add(&o.SnapStart.rat)
	c.Streaming.add(&o.Streaming.rat)
}

// Group is one row of a bill.
type Group struct {
	Name  string
	Usage metering.Usage
	Cost  Cost
}

// Bill is usage and cost, and what a server would cost that runs all the time.
type Bill struct {
	By     string
	Groups []Group
	Total  Group
	Always AlwaysOn
}

// AlwaysOn is a server, or several of the largest, that has memory for the most that ever
// ran at once, rented from the bill's beginning to its end.
type AlwaysOn struct {
	PeakRunning    int64
	PeakRunningMiB int64
	Server         Server
	Count          int64
	Time           time.Duration
	Cost           Money
}

// Make makes a bill over a span of time.
func Make(months []Month, by By, p Prices, span time.Duration) Bill {
	groups := map[string]*Group{}
	b := Bill{By: by.Name, Total: Group{Name: "total"}}
	peaks := map[peakKey]metering.Usage{}
	for _, month := range months {
		duration := tiered(month, &p)
		for i := range month {
			l := &month[i]
			if l.Key.IsAccount() {
				k := peakKey{string(l.Key.Account), string(l.Key.Region)}
				u := peaks[k]
				u.Add(&l.Usage)
				peaks[k] = u
				continue
			}
			cost := l.cost(&p, duration[poolOf(&l.Key)])
			name := by.of(l)
			g := groups[name]
			if g == nil {
				g = &Group{Name: name}
				groups[name] = g
			}
			for _, to := range []*Group{g, &b.Total} {
				to.Usage.Add(&l.Usage)
				to.Cost.add(&cost)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		b.Groups = append(b.Groups, *groups[name])
	}
	var running, mib int64
	for _, u := range peaks {
		running += u.PeakRunning
		mib += u.PeakRunningMiB
	}
	b.Total.Usage.PeakRunning, b.Total.Usage.PeakRunningMiB = running, mib
	b.Always = alwaysOn(running, mib, &p, span)
	return b
}

type peakKey struct{ account, region string }

// pool is what tiers apply to together. Source: AWS Lambda pricing: the aggregate
// monthly duration of one architecture, in one region, in one account.
type pool struct{ account, region, architecture string }

func poolOf(k *metering.Key) pool {
	return pool{string(k.Account), string(k.Region), architectureOf(k)}
}

// architectureOf is the function's; AWS's default for one that names none.
func architectureOf(k *metering.Key) string { return cmp.Or(k.Architecture, "x86_64") }

// tiered is the price of one MiB millisecond in each pool: what all its tiers cost
// together, shared in proportion, so that no function has the cheap tiers to itself.
func tiered(month Month, p *Prices) map[pool]*big.Rat {
	sums := map[pool]int64{}
	for i := range month {
		sums[poolOf(&month[i].Key)] += onDemandMS(&month[i].Usage)
	}
	each := map[pool]*big.Rat{}
	for k, sum := range sums {
		each[k] = new(big.Rat)
		if sum <= 0 {
			continue
		}
		total, rest := new(big.Rat), gb(sum)
		for _, t := range p.Architectures[k.architecture].Duration {
			part := rest
			if limit := big.NewRat(t.GBSeconds, 1); t.GBSeconds > 0 && rest.Cmp(limit) > 0 {
				part = limit
			}
			total.Add(total, new(big.Rat).Mul(part, &t.Price.rat))
			rest = new(big.Rat).Sub(rest, part)
		}
		each[k].Quo(total, big.NewRat(sum, 1))
	}
	return each
}

func onDemandMS(u *metering.Usage) int64 { return u.MemoryMS - u.ProvisionedRunMS }

// gb turns MiB milliseconds into GB-seconds: AWS's GB is 1,024 MB, and its MB a MiB.
func gb(mibMS int64) *big.Rat { return big.NewRat(mibMS, 1024*1000) }

func (l *Line) cost(p *Prices, mibMS *big.Rat) Cost {
	u, a := &l.Usage, p.Architectures[architectureOf(&l.Key)]
	var c Cost
	c.Requests.addProduct(big.NewRat(u.Requests, 1_000_000), &p.RequestsPerMillion.rat)
	c.Duration.addProduct(big.NewRat(onDemandMS(u), 1), mibMS)
	c.Storage.addProduct(gb(u.StorageMS), &p.StorageGBSecond.rat)
	c.Provisioned.addProduct(gb(u.ProvisionedMS), &a.ProvisionedGBSecond.rat)
	c.Provisioned.addProduct(gb(u.ProvisionedRunMS), &a.ProvisionedDurationGBSecond.rat)
	c.SnapStart.addProduct(big.NewRat(u.RestoreMiB, 1024), &p.SnapStartRestoreGB.rat)
	c.Streaming.addProduct(big.NewRat(u.StreamedBytes, 1<<30), &p.StreamingGB.rat)
	return c
}

func alwaysOn(running, mib int64, p *Prices, span time.Duration) AlwaysOn {
	a := AlwaysOn{PeakRunning: running, PeakRunningMiB: mib, Count: 1, Time: span}
	largest := p.Servers[len(p.Servers)-1]
	a.Server = largest
	for _, s := range p.Servers {
		if s.MemoryMiB-serverReserveMiB >= mib {
			a.Server = s
			break
		}
	}
	if room := max(1, largest.MemoryMiB-serverReserveMiB); mib > room {
		a.Count = (mib + room - 1) / room
	}
	hours := big.NewRat(int64(span/time.Millisecond), 3_600_000)
	a.Cost.addProduct(hours.Mul(hours, big.NewRat(a.Count, 1)), &a.Server.PerHour.rat)
	return a
}
