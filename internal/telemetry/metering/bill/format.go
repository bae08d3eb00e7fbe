package bill

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"
)

// Sheet is a bill with what stands above it.
type Sheet struct {
	From, To time.Time
	Prices   Prices
	Bill     Bill
}

// columns are the figures of a row, in the order they are printed.
var columns = []struct {
	name  string
	value func(*Group) string
}{
	{"requests", func(g *Group) string { return whole(g.Usage.Requests) }},
	{"errors", func(g *Group) string { return whole(g.Usage.Errors) }},
	{"throttles", func(g *Group) string { return whole(g.Usage.Throttles) }},
	{"gb_seconds", func(g *Group) string { return gb(g.Usage.MemoryMS).FloatString(6) }},
	{"billed_ms", func(g *Group) string { return whole(g.Usage.BilledMS) }},
	{"inits", func(g *Group) string { return whole(g.Usage.Inits) }},
	{"init_ms", func(g *Group) string { return whole(g.Usage.InitUS / 1000) }},
	{"restores", func(g *Group) string { return whole(g.Usage.Restores) }},
	{"restore_ms", func(g *Group) string { return whole(g.Usage.RestoreUS / 1000) }},
	{"cpu_ms", func(g *Group) string { return whole(g.Usage.CPUUS / 1000) }},
	{"peak_memory_mib", func(g *Group) string { return whole(g.Usage.PeakMiB) }},
	{"bytes_out", func(g *Group) string { return whole(g.Usage.BytesOut) }},
	{"streamed_bytes", func(g *Group) string { return whole(g.Usage.StreamedBytes) }},
	{"cost_requests", func(g *Group) string { return g.Cost.Requests.String() }},
	{"cost_duration", func(g *Group) string { return g.Cost.Duration.String() }},
	{"cost_storage", func(g *Group) string { return g.Cost.Storage.String() }},
	{"cost_provisioned", func(g *Group) string { return g.Cost.Provisioned.String() }},
	{"cost_snapstart", func(g *Group) string { return g.Cost.SnapStart.String() }},
	{"cost_streaming", func(g *Group) string { return g.Cost.Streaming.String() }},
	{"cost", func(g *Group) string { total := g.Cost.Total(); return total.String() }},
}

func whole(n int64) string { return strconv.FormatInt(n, 10) }

// Write prints a sheet as "text", "json" or "csv".
func (s *Sheet) Write(w io.Writer, format string) error {
	switch format {
	case "text":
		return s.text(w)
	case "json":
		return s.json(w)
	case "csv":
		return s.csv(w)
	default:
		return fmt.Errorf("--format is %q: use text, json or csv", format)
	}
}

// text prints what fits a terminal; the other formats have every figure.
func (s *Sheet) text(w io.Writer) error {
	fmt.Fprintf(w, "Usage from %s to %s, in %s\n\n", s.From.Format(time.RFC3339), s.To.Format(time.RFC3339), s.Prices.Currency)
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(out, "%s\trequests\terrors\tthrottles\tGB-seconds\tinits\tCPU s\tpeak MiB\tfor requests\tfor duration\tother\tcost\t\n", s.Bill.By)
	for _, g := range append(s.Bill.Groups, s.Bill.Total) {
		var other Money
		for _, part := range []*Money{&g.Cost.Storage, &g.Cost.Provisioned, &g.Cost.SnapStart, &g.Cost.Streaming} {
			other.add(&part.rat)
		}
		total := g.Cost.Total()
		fmt.Fprintf(out, "%s\t%d\t%d\t%d\t%s\t%d\t%.1f\t%d\t%s\t%s\t%s\t%s\t\n", g.Name, g.Usage.Requests, g.Usage.Errors, g.Usage.Throttles,
			gb(g.Usage.MemoryMS).FloatString(3), g.Usage.Inits, float64(g.Usage.CPUUS)/1e6, g.Usage.PeakMiB,
			g.Cost.Requests.Short(6), g.Cost.Duration.Short(6), other.Short(6), total.Short(6))
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("print the bill: %w", err)
	}
	a := s.Bill.Always
	_, err := fmt.Fprintf(w, `
At most %d invokes ran at once, in %d MiB. A server that runs all the time and has memory
for them, %d x %s (%d MiB, %d vCPU) at %s an hour for %s hours: %s

Prices: %s (%s)
`, a.PeakRunning, a.PeakRunningMiB, a.Count, a.Server.Name, a.Server.MemoryMiB, a.Server.VCPU, (&a.Server.PerHour.rat).FloatString(4),
		strconv.FormatFloat(a.Time.Hours(), 'f', 2, 64), a.Cost.Short(2), s.Prices.Source, s.Prices.Date)
	if err != nil {
		return fmt.Errorf("print the bill: %w", err)
	}
	return nil
}

func (s *Sheet) csv(w io.Writer) error {
	out := csv.NewWriter(w)
	header := []string{"group"}
	for _, c := range columns {
		header = append(header, c.name)
	}
	rows := [][]string{header}
	for _, g := range append(s.Bill.Groups, s.Bill.Total) {
		row := []string{g.Name}
		for _, c := range columns {
			row = append(row, c.value(&g))
		}
		rows = append(rows, row)
	}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("print the bill: %w", err)
	}
	return nil
}

func (s *Sheet) json(w io.Writer) error {
	row := func(g *Group) map[string]string {
		figures := map[string]string{"group": g.Name}
		for _, c := range columns {
			figures[c.name] = c.value(g)
		}
		return figures
	}
	rows := []map[string]string{}
	for i := range s.Bill.Groups {
		rows = append(rows, row(&s.Bill.Groups[i]))
	}
	a := s.Bill.Always
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(map[string]any{
		"from": s.From, "to": s.To, "by": s.Bill.By, "groups": rows, "total": row(&s.Bill.Total),
		"prices": map[string]string{"source": s.Prices.Source, "date": s.Prices.Date, "currency": s.Prices.Currency},
		"alwaysOn": map[string]any{
			"peakRunning": a.PeakRunning, "peakRunningMiB": a.PeakRunningMiB, "server": a.Server.Name, "serverMemoryMiB": a.Server.MemoryMiB,
			"count": a.Count, "hours": strconv.FormatFloat(a.Time.Hours(), 'f', 4, 64), "cost": a.Cost,
		},
	})
	if err != nil {
		return fmt.Errorf("print the bill: %w", err)
	}
	return nil
}
