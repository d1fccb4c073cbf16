package sandboxserver

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/gen"
)

// marked counts the host's processes whose command line holds a marker, the
func marked(t *testing.T, marker string) int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, entry := range entries {
		line, err := os.ReadFile("/proc/" + entry.Name() + "/cmdline")
		if err == nil && strings.Contains(string(line), marker) {
			n++
		}
	}
	return n
}

// sleepers counts a sandbox's processes that sleep for a marker. The host does
// not see those of a container that has a kernel of its own.
func (b *bench) sleepers(s gen.Sandbox, marker string) int {
	if b.server.Isolation() != IsolationOCI {
		return marked(b.t, "sleep\x00"+marker)
	}
	n, err := strconv.Atoi(strings.TrimSpace(b.run(s, "pgrep -c -x sleep || true").Stdout))
	if err != nil {
		b.t.Error(err)
	}
	return n
}

// marker is a number of seconds that no other process sleeps for.
func marker() string { return fmt.Sprintf("3%09d", rand.IntN(1e9)) }

func TestTimeoutKillsTheTree(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		s, mark := b.box(map[string]any{}), marker()
		a := b.execute(s, map[string]any{"command": "setsid sleep " + mark + " & (sleep " + mark + " &); sleep " + mark, "timeout": 1})
		b.refused(a, 408, codeCommandTimeout, "1s")
		if a.header.Get("X-Should-Retry") != "false" {
			b.t.Error("clients are not told to leave it at that")
		}
		eventually(b.t, "no process is left", func() bool { return b.sleepers(s, mark) == 0 })
		b.run(s, "true")
	})
}

func TestDeleteLeavesNoProcess(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		s, mark := b.box(map[string]any{"name": "doomed"}), marker()
		ended := make(chan answer)
		go func() { ended <- b.execute(s, map[string]any{"command": "sleep " + mark + " & sleep " + mark}) }()
		eventually(b.t, "the command runs", func() bool { return b.sleepers(s, mark) == 2 })
		b.want(204, "DELETE", "/boxes/doomed", nil)
		if n := marked(b.t, mark); n != 0 {
			b.t.Errorf("%d processes left", n)
		}
		b.refused(<-ended, 400, codeNotReady)
		b.want(404, "GET", "/boxes/doomed", nil)
	})
}

func TestCloseEndsCommands(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		s, mark := b.box(map[string]any{}), marker()
		ended := make(chan answer)
		go func() { ended <- b.execute(s, map[string]any{"command": "sleep " + mark}) }()
		eventually(b.t, "the command runs", func() bool { return b.sleepers(s, mark) == 1 })
		if err := b.server.Close(); err != nil {
			b.t.Fatal(err)
		}
		if n := marked(b.t, mark); n != 0 {
			b.t.Errorf("%d processes left", n)
		}
		if a := <-ended; a.status < 400 {
			b.t.Errorf("the command succeeded: %+v", a)
		}
	})
}

func TestGoneClientKillsTheCommand(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		s, mark := b.box(map[string]any{}), marker()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan answer)
		go func() {
			r := request("POST", dataplane(s)+"/execute", map[string]any{"command": "sleep " + mark + " & sleep " + mark})
			ended <- b.do(r.WithContext(ctx))
		}()
		eventually(b.t, "the command runs", func() bool { return b.sleepers(s, mark) == 2 })
		cancel()
		<-ended
		eventually(b.t, "no process is left", func() bool { return b.sleepers(s, mark) == 0 })
	})
}

func TestBackgroundProcessDoesNotHoldTheAnswer(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		s, mark := b.box(map[string]any{}), marker()
		got := b.run(s, "(while sleep 0.01; do echo tick; done) & sleep "+mark+" & echo done")
		if !strings.Contains(got.Stdout, "done\n") || *got.ExitCode != 0 {
			b.t.Fatalf("%+v", got)
		}
		// It goes on printing to a pipe that nobody reads any more.
		before := b.run(s, "sleep 0.2; pgrep -c -f "+mark+" || true")
		if strings.TrimSpace(before.Stdout) == "0" && b.server.Isolation() == IsolationNative {
			b.t.Fatalf("%+v", before)
		}
		b.want(204, "DELETE", "/boxes/"+s.Name, nil)
		eventually(b.t, "no process is left", func() bool { return marked(b.t, mark) == 0 })
	})
}

func TestOutput(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		s := b.box(map[string]any{})
		got := b.run(s, `printf 'a\377b\342\202'; printf '\342\202\254' >&2`)
		if got.Stdout != "a\ufffdb\ufffd\ufffd" || got.Stderr != "€" {
			b.t.Errorf("%q %q", got.Stdout, got.Stderr)
		}
		whole := b.run(s, "head -c 300000 /dev/zero | tr '\\0' x")
		if len(whole.Stdout) != 300000 {
			b.t.Errorf("%d bytes", len(whole.Stdout))
		}
		mark := marker()
		a := b.execute(s, map[string]any{"command": "head -c 1200000 /dev/zero; sleep " + mark})
		b.refused(a, 400, codeCommand, "1000000 bytes")
		eventually(b.t, "no process is left", func() bool { return marked(b.t, mark) == 0 })
	}, func(c *Config) { c.MaxOutput = 1000000 })
}
