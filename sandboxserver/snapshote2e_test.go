//go:build unix

package sandboxserver

import (
	"testing"

	"github.com/langsandbox/sandbox-go/gen"
)

// TestSnapshotFiles captures a sandbox for real, and starts two of it.
func TestSnapshotFiles(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		s := b.box(map[string]any{"name": "first", "env_vars": map[string]any{"FROM": "box"}})
		b.run(s, "echo one > f && mkdir -p d && head -c 1000000 /dev/urandom > d/data")
		snap := b.captured("first", map[string]any{"name": "warm", "include": []string{"env_vars"}, "confirm_allow_snapshot_secret_values": true})
		if snap.Status != gen.SnapshotReady || snap.FSUsedBytes < 1_000_000 || snap.FSUsedBytes > 4_000_000 {
			b.t.Fatalf("%+v", snap)
		}
		b.run(s, "echo changed > f")
		b.want(204, "DELETE", "/boxes/first", nil)
		second := b.box(map[string]any{"name": "second", "snapshot": "warm:latest"})
		if got := b.run(second, "cat f; echo $FROM; echo two > f; stat -c %s d/data"); got.Stdout != "one\nbox\n1000000\n" {
			b.t.Errorf("%+v", got)
		}
		third := b.box(map[string]any{"name": "third", "snapshot_id": snap.ID, "persistent": false})
		if got := b.run(third, "cat f; echo three > f"); got.Stdout != "one\n" {
			b.t.Errorf("%+v", got)
		}
		// One that keeps nothing begins with the snapshot again.
		b.want(204, "POST", "/boxes/third/stop", nil)
		if got := b.run(third, "cat f"); got.Stdout != "one\n" {
			b.t.Errorf("%+v", got)
		}
		b.want(204, "POST", "/boxes/second/stop", nil)
		stopped := b.captured("second", map[string]any{"name": "stopped"})
		if stopped.Status != gen.SnapshotReady {
			b.t.Fatalf("%+v", stopped)
		}
		if got := b.run(b.box(map[string]any{"name": "fourth", "snapshot": "stopped"}), "cat f"); got.Stdout != "two\n" {
			b.t.Errorf("%+v", got)
		}
		// What to run is layered: snapshot, sandbox, command.
		b.captured("second", map[string]any{"name": "layered", "run_config": map[string]any{
			"work_dir": "/tmp", "env_vars": map[string]any{"A": "snapshot", "B": "snapshot", "C": "snapshot"},
		}})
		fifth := b.box(map[string]any{"name": "fifth", "snapshot": "layered", "run_config": map[string]any{
			"env_vars": map[string]any{"B": "box", "C": "box"},
		}})
		a := b.execute(fifth, map[string]any{"command": "basename $PWD; echo $A $B $C", "env": map[string]any{"C": "command"}})
		if got := decode[gen.ExecuteResult](b.t, a); got.Stdout != "tmp\nsnapshot box command\n" {
			b.t.Errorf("%+v", got)
		}
		small := b.captured("second", map[string]any{"name": "small", "fs_capacity_bytes": 100_000})
		if small.Status != gen.SnapshotFailed {
			b.t.Errorf("%+v", small)
		}
	})
}
