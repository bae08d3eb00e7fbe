package telemetry_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lambdad/lambdad/internal/telemetry"
)

func TestMetricsOfTwoNodesAreApart(t *testing.T) {
	text := func(m *telemetry.Metrics) string {
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		return w.Body.String()
	}
	a, b := telemetry.NewMetrics(), telemetry.NewMetrics()
	for _, m := range []*telemetry.Metrics{a, b} {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "commits_total", Help: "Commits."})
		m.Room("store").MustRegister(c)
		if m == a {
			c.Inc()
		}
	}
	if got := text(a); !strings.Contains(got, "lambdad_store_commits_total 1\n") || !strings.Contains(got, "go_goroutines") {
		t.Errorf("node a: %s", got)
	}
	if got := text(b); !strings.Contains(got, "lambdad_store_commits_total 0\n") {
		t.Errorf("node b: %s", got)
	}
}
