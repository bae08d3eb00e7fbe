package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lambdad/lambdad/internal/assignment"
	"github.com/lambdad/lambdad/internal/telemetry"
	"github.com/lambdad/lambdad/internal/worker"
)

// invokeMetrics turns what the worker meters into the node's own metrics. Nothing is
// labelled with a function or an account: their number has no bound.
type invokeMetrics struct {
	invokes  *prometheus.CounterVec
	duration prometheus.Histogram
	init     prometheus.Histogram
	billed   prometheus.Counter
	gbBilled prometheus.Counter
	cpu      prometheus.Counter
	recursed prometheus.Counter
}

func newInvokeMetrics(m *telemetry.Metrics, stats func() assignment.Stats) *invokeMetrics {
	seconds := prometheus.ExponentialBuckets(0.0005, 2, 21) // 0.5 ms to 8.7 min
	im := &invokeMetrics{
		invokes:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "total", Help: "Invokes that ended, by how."}, []string{"status"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "duration_seconds", Help: "Duration of invokes, as REPORT tells it.", Buckets: seconds}),
		init:     prometheus.NewHistogram(prometheus.HistogramOpts{Name: "init_duration_seconds", Help: "Duration of INIT in cold invokes.", Buckets: seconds}),
		billed:   prometheus.NewCounter(prometheus.CounterOpts{Name: "billed_seconds_total", Help: "Billed duration."}),
		gbBilled: prometheus.NewCounter(prometheus.CounterOpts{Name: "billed_gb_seconds_total", Help: "Billed duration times memory size in GB."}),
		cpu:      prometheus.NewCounter(prometheus.CounterOpts{Name: "cpu_seconds_total", Help: "Processor time of environments."}),
		recursed: prometheus.NewCounter(prometheus.CounterOpts{Name: "recursive_dropped_total", Help: "Invokes stopped because they were part of a recursive loop."}),
	}
	room := m.Room("invoke")
	room.MustRegister(im.invokes, im.duration, im.init, im.billed, im.gbBilled, im.cpu, im.recursed)
	gauge := func(name, help string, value func(assignment.Stats) int) {
		m.Room("environment").MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value(stats())) }))
	}
	gauge("running", "Environments that run an invoke.", func(s assignment.Stats) int { return s.Running })
	gauge("idle", "Warm environments without an invoke.", func(s assignment.Stats) int { return s.Idle })
	gauge("memory_promised_mib", "Memory promised to environments.", func(s assignment.Stats) int { return s.UsedMiB })
	gauge("memory_budget_mib", "Memory that may be promised.", func(s assignment.Stats) int { return s.TotalMiB })
	return im
}

// Invoked implements worker.Meter.
func (im *invokeMetrics) Invoked(m worker.Metered) {
	im.invokes.WithLabelValues(m.Status).Inc()
	im.duration.Observe(m.Duration.Seconds())
	if m.Init > 0 {
		im.init.Observe(m.Init.Seconds())
	}
	im.billed.Add(m.Billed.Seconds())
	im.gbBilled.Add(m.Billed.Seconds() * float64(m.MemoryMiB) / 1024)
	im.cpu.Add(m.CPU.Seconds())
}
