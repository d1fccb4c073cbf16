package bench

import (
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
	"github.com/langsandbox/sandbox-go/sandboxtest"
)

// steps are durations by what took them.
type steps map[string][]time.Duration

func (s steps) time(b *testing.B, name string, step func() error) {
	began := time.Now()
	if err := step(); err != nil {
		b.Fatal(name, err)
	}
	s[name] = append(s[name], time.Since(began))
}

func (s steps) median(name string) float64 {
	slices.Sort(s[name])
	return float64(s[name][len(s[name])/2].Microseconds())
}

// BenchmarkLocal is the local server in this process, by the SDK and HTTP:
// commands against os/exec by turns, creation, hand-out from a pool, deletion.
func BenchmarkLocal(b *testing.B) {
	const (
		commands = 10
		refill   = 100 * time.Millisecond // of the pool, beside the clock
	)
	ctx := b.Context()
	c, server := sandboxtest.New(b)
	if server.Isolation() != sandboxserver.IsolationNative {
		b.Skip("no namespaces here")
	}
	cold, pooled := &sandboxclient.CreateSandbox{TemplateName: "cold"}, &sandboxclient.CreateSandbox{TemplateName: "pooled"}
	for _, name := range []string{cold.TemplateName, pooled.TemplateName} {
		if _, err := c.Templates.Create(ctx, &sandboxclient.CreateTemplate{Name: name, Image: "host"}); err != nil {
			b.Fatal(err)
		}
	}
	pool := &sandboxclient.CreatePool{Name: "pool", TemplateName: pooled.TemplateName, Replicas: 2}
	if _, err := c.Pools.Create(ctx, pool); err != nil {
		b.Fatal(err)
	}
	box, err := c.Create(ctx, cold)
	if err != nil {
		b.Fatal(err)
	}
	s := steps{}
	for b.Loop() {
		for range commands {
			s.time(b, "floor", func() error { _, err := exec.CommandContext(ctx, "/bin/sh", "-c", "/bin/true").Output(); return err })
			s.time(b, "run", func() error { _, err := box.Run(ctx, "/bin/true", nil); return err })
			s.time(b, "execute", func() error { _, err := box.Execute(ctx, "/bin/true", nil); return err })
		}
		var first, second *sandboxclient.Sandbox
		s.time(b, "create", func() (err error) { first, err = c.Create(ctx, cold); return err })
		s.time(b, "delete", func() error { return first.Delete(ctx) })
		s.time(b, "pool", func() (err error) { second, err = c.Create(ctx, pooled); return err })
		if err := second.Delete(ctx); err != nil {
			b.Fatal(err)
		}
		time.Sleep(refill)
	}
	b.ReportMetric(s.median("run")/s.median("floor"), "run-x-floor")
	b.ReportMetric(s.median("execute")/s.median("floor"), "execute-x-floor")
	for name := range s {
		b.ReportMetric(s.median(name), name+"-µs")
	}
}
