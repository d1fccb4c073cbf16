package runtime

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// limited starts a sandbox with limits, if this host has a controller.
func limited(t *testing.T, rt Runtime, controller string, limits Limits) Sandbox {
	t.Helper()
	n, ok := rt.(*native)
	if !ok {
		t.Skip("no isolation, no limits")
	}
	if _, ok := n.limiter.places[controller]; !ok {
		t.Skipf("no cgroup with the controller %s that could be written", controller)
	}
	return create(t, rt, Spec{ID: "box", Limits: limits})
}

// script runs a script to its end.
func script(t *testing.T, box Sandbox, text string) (string, time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	began := time.Now()
	p, err := box.Start(ctx, Command{Args: []string{"/bin/sh", "-c", text}, Stdout: out})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	_ = p.Kill() // what it left
	data, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(data), took
}

func TestMemoryLimit(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := limited(t, rt, "memory", Limits{MemoryBytes: 64 << 20})
		for range 3 {
			if got, _ := script(t, box, "head -c 300000000 /dev/zero | tail -c 300000000 > /dev/null; echo $?"); got != "137\n" {
				t.Errorf("%q", got)
			}
		}
		if got, _ := script(t, box, "head -c 8000000 /dev/zero | tail -c 8000000 | wc -c"); got != "8000000\n" {
			t.Errorf("what fits: %q", got)
		}
	})
}

func TestPIDLimit(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := limited(t, rt, "pids", Limits{PIDs: 48})
		if got, _ := script(t, box, "i=0; while [ $i -lt 100 ]; do sleep 60 & i=$((i+1)); done; echo all"); strings.Contains(got, "all") {
			t.Errorf("%q", got)
		}
		if got, _ := script(t, box, "echo well"); got != "well\n" {
			t.Errorf("afterwards: %q", got)
		}
	})
}

func TestCPULimit(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := limited(t, rt, "cpu", Limits{CPUMillicores: 100})
		// Lines of "0m0.250000s 0m0.010000s", of the shell and of its children.
		got, took := script(t, box, "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; times")
		user, _, _ := strings.Cut(got, " ")
		used, err := time.ParseDuration(user)
		if err != nil || took < 3*used {
			t.Errorf("%v of CPU in %v: %v", used, took, err)
		}
	})
}

// TestLimitsGoWithKilledRuntimes: a new runtime removes what one left that had
// no time to.
func TestLimitsGoWithKilledRuntimes(t *testing.T) {
	own, err := ownHierarchy("pids")
	if err != nil {
		t.Skip(err)
	}
	left := cgroupPrefix(own, t.TempDir()) + "left"
	if err := os.Mkdir(left, 0o755); err != nil {
		t.Skip(err)
	}
	if err := sweepHierarchy(own, strings.TrimSuffix(left, "left")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Error("is still there: ", filepath.Base(left), err)
	}
}

func TestHierarchy(t *testing.T) {
	t.Parallel()
	const mounts = `31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 /docker/x /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`
	for controller, want := range map[string]string{"cpu": "/docker/x /sys/fs/cgroup/cpu,cpuacct", "memory": "/ /sys/fs/cgroup/memory", "pids": " "} {
		if root, point, _ := hierarchy(mounts, controller); root+" "+point != want {
			t.Errorf("%s: %s %s", controller, root, point)
		}
	}
}
