package bench

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

var mebibytes = flag.Int("mib", 32, "MiB of output in one round of the streaming benchmarks")

// child starts this program again in a role.
func child(b *testing.B, role string, variables ...string) *exec.Cmd {
	b.Helper()
	program, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	c := exec.CommandContext(b.Context(), program)
	c.Env = append(append(os.Environ(), roleVariable+"="+role), variables...)
	c.Stderr = os.Stderr
	return c
}

// stubServer starts a server and returns its address.
func stubServer(b *testing.B) string {
	b.Helper()
	return serverOf(b, child(b, roleStub))
}

// serverOf starts a child that tells its address, and ends with its input.
func serverOf(b *testing.B, c *exec.Cmd) string {
	b.Helper()
	in, err := c.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = c.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(address)
}

// connect is a sandbox of the SDK on the server.
func connect(ctx context.Context, address string) (*sandboxclient.Sandbox, error) {
	c, err := sandboxclient.New(sandboxclient.WithEndpoint("http://"+address), sandboxclient.WithAPIKey("k"),
		sandboxclient.WithEnvironment(func(string) string { return "" }))
	if err != nil {
		return nil, err
	}
	return c.Get(ctx, "box")
}

// cost is what one half of a round took.
type cost struct {
	wall, cpu time.Duration
	mallocs   uint64
}

func measure(b *testing.B, work func() error) cost {
	b.Helper()
	runtime.GC() // nobody pays for what the other left
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, start := processTime(), time.Now()
	if err := work(); err != nil {
		b.Fatal(err)
	}
	c := cost{wall: time.Since(start), cpu: processTime() - cpu}
	runtime.ReadMemStats(&after)
	c.mallocs = after.Mallocs - before.Mallocs
	return c
}

// pair is two clients with the same to do.
type pair struct {
	floor, sdk func() error
	bytes      int64  // in one round
	units      int    // the chunks or operations of one round
	unit       string // what they are
	baseline   uint64 // allocations that do not count
	weight     int    // how much more the SDK has to do, where the floor takes long; 0 is as much
}

// run drives both in turn, and reports what the median round says.
func (p *pair) run(b *testing.B) {
	halves := [2]func() error{p.floor, p.sdk}
	var ratios, cpus, floors, sdks, mallocs, floorMallocs []float64
	for _, warm := range halves {
		measure(b, warm)
	}
	for round := 0; b.Loop(); round++ {
		var costs [2]cost
		for i := range halves {
			who := (i + round) % 2
			costs[who] = measure(b, halves[who])
		}
		f, s := costs[0], costs[1]
		f.wall, f.cpu = f.wall*time.Duration(max(1, p.weight)), f.cpu*time.Duration(max(1, p.weight))
		ratios = append(ratios, float64(f.wall)/float64(s.wall))
		if s.cpu > 0 {
			cpus = append(cpus, float64(f.cpu)/float64(s.cpu))
		}
		floors = append(floors, f.wall.Seconds())
		floorMallocs = append(floorMallocs, float64(f.mallocs)/float64(p.units))
		sdks = append(sdks, s.wall.Seconds())
		mallocs = append(mallocs, (float64(s.mallocs)-float64(p.baseline))/float64(p.units))
	}
	b.ReportMetric(0, "ns/op") // of both together, it says nothing
	b.ReportMetric(median(ratios), "x-floor")
	b.ReportMetric(slices.Min(ratios), "x-min")
	b.ReportMetric(slices.Max(ratios), "x-max")
	if len(cpus) > 0 {
		b.ReportMetric(median(cpus), "x-cpu")
	}
	b.ReportMetric(max(0, median(mallocs)), "allocs/"+p.unit)
	if p.bytes == 0 {
		b.ReportMetric(median(floorMallocs), "floor-allocs")
	}
	if p.bytes > 0 {
		b.ReportMetric(float64(p.bytes)/median(floors)/1e6, "floor-MB/s")
		b.ReportMetric(float64(p.bytes)/median(sdks)/1e6, "sdk-MB/s")
		return
	}
	b.ReportMetric(median(floors)/float64(p.units)*1e6, "floor-us")
	b.ReportMetric(median(sdks)/float64(p.units)*1e6, "sdk-us")
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// expect checks the size of an output.
func expect(got, want int64, err error) error {
	if err == nil && got != want {
		return fmt.Errorf("%d bytes of output, want %d", got, want)
	}
	return err
}
