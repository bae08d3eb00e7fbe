package telemetry

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metricsNamespace begins the name of each of lambdad's own metrics.
const metricsNamespace = "lambdad"

// Metrics are one node's own metrics. There is no global registry: node makes
// one and hands it to the rooms.
type Metrics struct{ registry *prometheus.Registry }

// NewMetrics makes a node's metrics, which begin with the process's own.
func NewMetrics() *Metrics {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &Metrics{registry: r}
}

// Room returns where a room registers its collectors: their names get the
// prefix lambdad_ROOM_.
func (m *Metrics) Room(room string) prometheus.Registerer {
	return prometheus.WrapRegistererWithPrefix(metricsNamespace+"_"+room+"_", m.registry)
}

// Handler serves all metrics in Prometheus' text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}
