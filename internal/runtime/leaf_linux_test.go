package runtime

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestLeafReuse makes sure that a cgroup is used again, and that a command
// which had it before does not kill the one that has it now.
func TestLeafReuse(t *testing.T) {
	n := startNative(t)
	if n.cgroups == nil {
		t.Skip(n.noCgroups)
	}
	box := create(t, n, Spec{}).(*sandbox)
	first := start(t, box, shell("true"))
	first.waitEnd(t)
	eventually(t, "cgroup is free", func() error {
		box.leaves.mu.Lock()
		defer box.leaves.mu.Unlock()
		if len(box.leaves.free) != 1 {
			return errors.New("not yet")
		}
		return nil
	})
	second := start(t, box, shell("echo started; sleep 1000"))
	second.readLine(t)
	if had, has := first.Process.(*command).leaf, second.Process.(*command).leaf; had != has {
		t.Errorf("%s and %s", had.path, has.path)
	}
	if err := first.Kill(); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := second.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("killed with the first: %v", err)
	}
	if err := second.Kill(); err != nil {
		t.Error(err)
	}
	second.readAll(t)
	second.waitEnd(t)
	// Nor is one used again that was killed.
	for range 5 {
		run(t, box, "true")
	}
}

// TestBusyLeaves has commands leave processes behind, and more of them than
// are looked at when one ends.
func TestBusyLeaves(t *testing.T) {
	n := startNative(t)
	if n.cgroups == nil {
		t.Skip(n.noCgroups)
	}
	box := create(t, n, Spec{}).(*sandbox)
	var jobs []job
	for range 2 * maxSweep {
		j := start(t, box, shell("sleep 1000 & echo started"))
		j.readLine(t)
		j.waitEnd(t)
		jobs = append(jobs, j)
	}
	for _, j := range jobs {
		if err := j.Kill(); err != nil {
			t.Error(err)
		}
		j.readAll(t)
	}
	eventually(t, "no cgroup is busy", func() error {
		run(t, box, "true")
		box.leaves.mu.Lock()
		defer box.leaves.mu.Unlock()
		if len(box.leaves.busy) > 0 || len(box.leaves.free) > maxFree {
			return errors.New("not yet")
		}
		return nil
	})
}
