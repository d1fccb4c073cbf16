package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

// serverMetrics are the metrics of a server, in the form that Prometheus reads.
type serverMetrics struct {
	set  *metrics.Set
	http *http.Server
	addr net.Addr
	done chan error
}

// openMetrics listens on an address of their own: they need no key there. It
// returns nil without an address.
func openMetrics(ctx context.Context, addr string) (*serverMetrics, error) {
	if addr == "" {
		return nil, nil //nolint:nilnil // nobody wants them
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics on %s: %w", addr, err)
	}
	m := &serverMetrics{set: metrics.NewSet(), addr: l.Addr(), done: make(chan error, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		m.set.WritePrometheus(w)
		metrics.WriteProcessMetrics(w)
	})
	m.http = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: time.Minute}
	go func() { m.done <- m.http.Serve(l) }()
	return m, nil
}

// observe counts a request.
func (m *serverMetrics) observe(o sandboxserver.Observation) {
	operation := o.Operation
	if operation == "" {
		operation = "none"
	}
	m.set.GetOrCreateCounter(fmt.Sprintf("sandbox_requests_total{operation=%q,status=\"%d\"}", operation, o.Status)).Inc()
	m.set.GetOrCreateSummary(fmt.Sprintf("sandbox_request_duration_seconds{operation=%q}", operation)).Update(o.Duration.Seconds())
}

// follow shows what is in use of a server.
func (m *serverMetrics) follow(usage func() (gen.Usage, error)) {
	for name, value := range map[string]func(gen.Usage) float64{
		`sandbox_sandboxes{status="running"}`: func(u gen.Usage) float64 { return float64(u.SandboxRunningCount) },
		`sandbox_sandboxes{status="stopped"}`: func(u gen.Usage) float64 { return float64(u.SandboxStoppedCount) },
		`sandbox_sandboxes{status="pooled"}`:  func(u gen.Usage) float64 { return float64(u.SandboxPoolReplicasCount) },
		"sandbox_templates":                   func(u gen.Usage) float64 { return float64(u.TemplatesCount) },
		"sandbox_pools":                       func(u gen.Usage) float64 { return float64(u.PoolsCount) },
		"sandbox_volumes":                     func(u gen.Usage) float64 { return float64(u.VolumesUsed) },
		"sandbox_snapshots":                   func(u gen.Usage) float64 { return float64(u.SnapshotsCount) },
		"sandbox_cpu_millicores":              func(u gen.Usage) float64 { return float64(u.CPUUsedMillicores) },
		"sandbox_memory_bytes":                func(u gen.Usage) float64 { return float64(u.MemoryUsedBytes) },
		"sandbox_storage_bytes":               func(u gen.Usage) float64 { return float64(u.StorageUsedBytes) },
	} {
		m.set.NewGauge(name, func() float64 {
			u, err := usage()
			if err != nil {
				return 0 // it is closing
			}
			return value(u)
		})
	}
}

// close ends the listener.
func (m *serverMetrics) close() error {
	err := m.http.Close()
	if served := <-m.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
