package runtime

import (
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
)

// spread reports the median and the 99th percentile beside the mean.
type spread []time.Duration

func (s *spread) time(f func()) {
	began := time.Now()
	f()
	*s = append(*s, time.Since(began))
}

func (s spread) report(b *testing.B) {
	slices.Sort(s)
	b.ReportMetric(float64(s[len(s)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(s[len(s)*99/100].Microseconds()), "p99-µs")
}

func benchNative(b *testing.B, withCgroups bool) *native {
	b.Helper()
	n, err := openDetected(Config{Dir: filepath.Join(b.TempDir(), "boxes"), Logger: slog.New(slog.DiscardHandler)}, withCgroups)
	if err != nil {
		b.Skip(err)
	}
	b.Cleanup(func() { n.Close() })
	return n
}

// BenchmarkCreate is about sandboxes that nothing was done for before.
func BenchmarkCreate(b *testing.B) { benchCreate(b, benchNative(b, true), 0) }

// BenchmarkCreateSpare is about those whose agent was started ahead.
func BenchmarkCreateSpare(b *testing.B) { benchCreate(b, benchNative(b, true), 2) }

// BenchmarkCreateContainer is about those in containers.
func BenchmarkCreateContainer(b *testing.B) {
	for _, program := range containerPrograms {
		for name, spares := range map[string]int{program: 0, program + "-spare": 2} {
			b.Run(name, func(b *testing.B) {
				rt, err := modeOf("native-" + program).open(Config{Dir: filepath.Join(b.TempDir(), "boxes"), Logger: discard()})
				if err != nil {
					b.Skip(err)
				}
				b.Cleanup(func() { rt.Close() })
				benchCreate(b, rt.(*native), spares)
			})
		}
	}
}

func benchCreate(b *testing.B, n *native, spares int) {
	b.Helper()
	n.spares.most = spares
	limits := Limits{CPUMillicores: 1000, MemoryBytes: 1 << 30, PIDs: 1000, FileBytes: 1 << 30}
	var creates, closes spread
	for i := 0; b.Loop(); i++ {
		var box Sandbox
		var err error
		creates.time(func() { box, err = n.Create(b.Context(), Spec{ID: "b" + strconv.Itoa(i), Limits: limits}) })
		if err != nil {
			b.Fatal(err)
		}
		closes.time(func() { err = box.Close() })
		if err != nil {
			b.Fatal(err)
		}
		for spares > 0 && i > sparesAfter && !n.spares.full() { // beside the clock
			time.Sleep(time.Millisecond)
		}
	}
	creates.report(b)
	slices.Sort(closes)
	b.ReportMetric(float64(closes[len(closes)/2].Microseconds()), "close-p50-µs")
}

// BenchmarkExec runs the same program by turns in sandboxes and without, so
// that what else the machine does weighs on all alike.
func BenchmarkExec(b *testing.B) {
	program := "/bin/true"
	search, cgroup := benchNative(b, false), benchNative(b, true)
	boxes := make([]Sandbox, 2)
	for i, n := range []*native{search, cgroup} {
		var err error
		if boxes[i], err = n.Create(b.Context(), Spec{ID: "b"}); err != nil {
			b.Fatal(err)
		}
	}
	var floor spread
	var times [2]spread
	for b.Loop() {
		floor.time(func() { runFloor(b, program) })
		for i, box := range boxes {
			times[i].time(func() { runPiped(b, box, program) })
		}
	}
	median := func(s spread) float64 { slices.Sort(s); return float64(s[len(s)/2].Nanoseconds()) }
	b.ReportMetric(median(floor)/1e3, "floor-µs")
	b.ReportMetric(median(times[0])/1e3, "search-µs")
	b.ReportMetric(median(times[1])/1e3, "cgroup-µs")
	b.ReportMetric(median(times[0])/median(floor), "search-x")
	b.ReportMetric(median(times[1])/median(floor), "cgroup-x")
	b.ReportMetric(float64(floor[len(floor)*99/100].Microseconds()), "floor-p99-µs")
	b.ReportMetric(float64(times[1][len(times[1])*99/100].Microseconds()), "cgroup-p99-µs")
}

// runPiped runs a program with stdout and stderr on pipes, as servers do.
func runPiped(b *testing.B, box Sandbox, program string) {
	stdout, theirs, err := OutputPipe()
	if err != nil {
		b.Fatal(err)
	}
	stderr, theirs2, err := OutputPipe()
	if err != nil {
		b.Fatal(err)
	}
	process, err := box.Start(b.Context(), Command{Args: []string{program}, Stdout: theirs, Stderr: theirs2})
	if err != nil {
		b.Fatal(err)
	}
	theirs.Close()
	theirs2.Close()
	io.Copy(io.Discard, stdout)
	io.Copy(io.Discard, stderr)
	stdout.Close()
	stderr.Close()
	if _, err := process.Wait(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func runFloor(b *testing.B, program string) {
	cmd := exec.Command(program)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	io.Copy(io.Discard, stdout)
	io.Copy(io.Discard, stderr)
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkExecFloor(b *testing.B) {
	var times spread
	for b.Loop() {
		times.time(func() { runFloor(b, "/bin/true") })
	}
	times.report(b)
}

func BenchmarkOpenFile(b *testing.B) {
	n := benchNative(b, true)
	box, err := n.Create(b.Context(), Spec{ID: "b"})
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 4<<10)
	for b.Loop() {
		file, err := box.OpenFile(b.Context(), "/app/x", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
		if err != nil {
			b.Fatal(err)
		}
		file.Write(data)
		file.Close()
	}
}

// BenchmarkReexec is the start of this program as an agent, to the refusal of
// one that is in the wrong place.
func BenchmarkReexec(b *testing.B) {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	var times spread
	for b.Loop() {
		cmd := &exec.Cmd{Path: self, Args: []string{sandboxagent.Name}, Env: []string{sandboxagent.Marker}}
		times.time(func() { cmd.Run() })
	}
	times.report(b)
}

func (s *spares) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ready) >= s.most
}
