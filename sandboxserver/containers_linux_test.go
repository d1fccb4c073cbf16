package sandboxserver

import (
	"os/exec"
	"testing"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// TestContainers: a server whose sandboxes are containers of crun or runc does
// what one with namespaces of its own does, and either has the other's files.
func TestContainers(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"crun", "runc"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(program); err != nil {
				t.Skip(err)
			}
			if report := runtime.Probe(t.TempDir(), program); report.Step != runtime.IsolationContainer {
				t.Skip(report.Reason)
			}
			dir := t.TempDir()
			in := func(oci string, use func(*bench)) {
				server, err := New(Config{APIKey: testKey, Dir: dir, OCIRuntime: oci})
				if err != nil {
					t.Fatal(err)
				}
				use(&bench{t: t, server: server})
				if err := server.Close(); err != nil {
					t.Error(err)
				}
			}
			in(program, func(b *bench) {
				if server := b.server; server.Isolation() != IsolationNative || server.IsolationStep() != IsolationContainer {
					t.Errorf("%s, %s", server.Isolation(), server.IsolationStep())
				}
				s := b.box(map[string]any{"name": "box"})
				if a := b.upload(s, "f", "one\n"); a.status != 200 {
					t.Error(a)
				}
				b.run(s, "cat f > /usr/local/g")
				if snap := b.captured("box", map[string]any{"name": "snap"}); snap.Status != gen.SnapshotReady {
					t.Errorf("%+v", snap)
				}
			})
			in("", func(b *bench) {
				if got := b.run(b.box(map[string]any{"snapshot": "snap"}), "cat f /usr/local/g; echo two > f"); got.Stdout != "one\none\n" {
					t.Errorf("%+v", got)
				}
				b.run(decode[gen.Sandbox](t, b.want(200, "GET", "/boxes/box", nil)), "echo two > /usr/local/g")
			})
			in(program, func(b *bench) {
				if got := b.run(decode[gen.Sandbox](t, b.want(200, "GET", "/boxes/box", nil)), "cat f /usr/local/g"); got.Stdout != "one\ntwo\n" {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}
