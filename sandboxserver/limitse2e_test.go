//go:build unix

package sandboxserver

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// features are what the server's runtime can do.
func (b *bench) features() runtime.Features { return runtime.FeaturesOf(b.server.engine.rt) }

// TestOutOfMemory: what takes more memory than the sandbox has ends, and
// nothing else does.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		if !b.features().LimitMemory {
			b.t.Skip(b.features().Unlimited)
		}
		b.template("small", map[string]any{"resources": map[string]any{"memory": "64Mi"}})
		s := b.box(map[string]any{"template_name": "small"})
		if b.server.Isolation() == IsolationOCI { // the sandbox's own kernel has it all
			b.execute(s, map[string]any{"command": "exec dd if=/dev/zero of=/dev/null bs=300M count=1"})
			eventually(b.t, "the sandbox ends", func() bool { return b.status(s.Name).Status == gen.StatusStopped })
			return
		}
		if got := b.run(s, "exec dd if=/dev/zero of=/dev/null bs=300M count=1"); *got.ExitCode != 137 {
			b.t.Errorf("%+v, exit code %d", got, *got.ExitCode)
		}
		if got := b.run(s, "echo well"); got.Stdout != "well\n" {
			b.t.Errorf("%+v", got)
		}
		if got := b.status(s.Name).Status; got != gen.StatusReady {
			b.t.Errorf("the sandbox is %s", got)
		}
	})
}

// TestDiskSize: no file is larger than the disk, however it is written.
func TestDiskSize(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		s := b.box(map[string]any{"fs_capacity_bytes": 1 << 20})
		b.refused(b.upload(s, "f", strings.Repeat("x", 1<<20+1)), 413, codeTooLarge, "1048576 bytes")
		if a := b.upload(s, "f", strings.Repeat("x", 1<<20)); a.status != 200 {
			b.t.Error(a)
		}
		if !b.features().LimitFileBytes {
			return
		}
		if got := b.run(s, "(echo x >> f); stat -c %s f; head -c 3000000 /dev/zero > g; stat -c %s g"); got.Stdout != "1048576\n1048576\n" {
			b.t.Errorf("%+v", got)
		}
	})
}

// TestUnlimitedIsSaid: limits that do not hold are in the log.
func TestUnlimitedIsSaid(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	server, err := New(Config{Isolation: IsolationProcess, MinIsolation: IsolationProcess, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if got := log.String(); !strings.Contains(got, "do not hold") || !strings.Contains(got, "memory") {
		t.Errorf("log %q", got)
	}
}
