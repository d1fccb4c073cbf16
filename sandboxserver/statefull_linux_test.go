package sandboxserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// templates makes templates until one cannot be saved, and returns how many
// were.
func (v *victim) templates(prefix string) (saved int) {
	v.t.Helper()
	for ; saved < 1000; saved++ {
		status, answer := v.call("POST", "/v2/sandboxes/templates", map[string]any{
			"name": fmt.Sprintf("%s%d", prefix, saved), "image": strings.Repeat("x", 2000),
			"resources": map[string]any{"cpu": "100m", "memory": "128Mi"},
		})
		if status == 500 && strings.Contains(string(answer), "could not be saved") {
			return saved
		}
		if status != 201 {
			v.t.Fatalf("%d %s", status, answer)
		}
	}
	v.t.Fatal("everything has room")
	return saved
}

// room bounds the files that a server can write.
func (v *victim) room(size uint64) {
	v.t.Helper()
	limit := unix.Rlimit{Cur: size, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(v.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		v.t.Fatal(err)
	}
}

// TestFullStore: a server whose store cannot grow says so and goes on. Nothing
// that was saved is lost, and what could not be saved is when there is room.
func TestFullStore(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	v := startVictim(t, dir)
	v.must(201, "POST", "/volumes", map[string]any{"name": "v", "size": "1Gi"}, nil)
	info, err := os.Stat(filepath.Join(dir, stateName))
	if err != nil {
		t.Fatal(err)
	}
	v.room(uint64(info.Size()) + 64<<10)
	saved := v.templates("a")
	v.must(200, "GET", "/templates/a0", nil, nil)
	v.kill()

	v = startVictim(t, dir)
	for i := range saved {
		v.must(200, "GET", fmt.Sprintf("/templates/a%d", i), nil, nil)
	}
	if info, err = os.Stat(filepath.Join(dir, stateName)); err != nil {
		t.Fatal(err)
	}
	v.room(uint64(info.Size()) + 64<<10)
	more := v.templates("b")
	v.room(unix.RLIM_INFINITY)
	v.must(204, "DELETE", "/volumes/v", nil, nil)
	v.kill()

	v = startVictim(t, dir)
	v.must(200, "GET", fmt.Sprintf("/templates/b%d", more), nil, nil) // the one that had no room
	v.must(404, "GET", "/volumes/v", nil, nil)
	v.close()
}
