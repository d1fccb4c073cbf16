package runtime

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
)

// limited starts a sandbox with limits, if they hold here.
func limited(t *testing.T, rt Runtime, holds func(Features) bool, limits Limits) Sandbox {
	t.Helper()
	if f := FeaturesOf(rt); !holds(f) {
		if len(f.Unlimited) == 0 {
			t.Error("a limit does not hold, and nothing says why")
		}
		t.Skip(f.Unlimited)
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
		box := limited(t, rt, func(f Features) bool { return f.LimitMemory }, Limits{MemoryBytes: 64 << 20})
		if ownKernel(rt) { // which ends with its memory
			start(t, box, shell("head -c 300000000 /dev/zero | tail -c 300000000 > /dev/null"))
			select {
			case <-box.Done():
			case <-time.After(timeout):
				t.Error("it goes on")
			}
			return
		}
		for range 3 {
			if got, _ := script(t, box, "head -c 300000000 /dev/zero | tail -c 300000000 > /dev/null; echo $?"); got != "137\n" {
				t.Errorf("%q", got)
			}
		}
		hog := start(t, box, Command{Args: []string{"dd", "if=/dev/zero", "of=/dev/null", "bs=300M", "count=1"}})
		if status := hog.waitEnd(t); status != (ExitStatus{Code: 137, Signal: 9}) {
			t.Errorf("the hog: %+v", status)
		}
		if got, _ := script(t, box, "head -c 8000000 /dev/zero | tail -c 8000000 | wc -c"); got != "8000000\n" {
			t.Errorf("what fits: %q", got)
		}
	})
}

func TestPIDLimit(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := limited(t, rt, func(f Features) bool { return f.LimitPIDs }, Limits{PIDs: 48})
		if got, _ := script(t, box, "i=0; while [ $i -lt 100 ]; do sleep 60 & i=$((i+1)); done; echo all"); strings.Contains(got, "all") {
			t.Errorf("%q", got)
		}
		if got, _ := script(t, box, "echo well"); got != "well\n" {
			t.Errorf("afterwards: %q", got)
		}
	})
}

// TestForkBomb: what forks as fast as it can does not take the sandbox down.
func TestForkBomb(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := limited(t, rt, func(f Features) bool { return f.LimitPIDs }, Limits{PIDs: 64})
		// Bounded also if the limit does not hold: 2 to the 8th shells.
		const bomb = `echo 'if [ $1 -lt 8 ]; then sh /tmp/bomb $(($1+1)) & sh /tmp/bomb $(($1+1)) & fi; sleep 100' > /tmp/bomb; sh /tmp/bomb 0`
		j := start(t, box, shell(bomb))
		j.readLine(t) // of a shell that could not fork
		if err := j.Kill(); err != nil {
			t.Error(err)
		}
		j.waitEnd(t)
		eventually(t, "the sandbox works again", func() error {
			p, err := box.Start(t.Context(), Command{Args: []string{"/bin/true"}})
			if err != nil {
				return err
			}
			_, err = p.Wait(t.Context())
			return err
		})
	})
}

func TestFileLimit(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		volume := t.TempDir()
		if err := os.Chmod(volume, 0o777); err != nil {
			t.Fatal(err)
		}
		if !FeaturesOf(rt).LimitFileBytes {
			t.Skip(FeaturesOf(rt).Unlimited)
		}
		box := create(t, rt, Spec{Mounts: []Mount{{Source: volume, Target: "/data"}}, Limits: Limits{FileBytes: 1 << 20}})
		for _, dir := range []string{"/home/user", "/tmp", "/data"} {
			dir = inside(box, dir)
			got, _ := script(t, box, "head -c 3000000 /dev/zero > "+dir+"/f; echo $?; stat -c %s "+dir+"/f; ulimit -f unlimited 2>/dev/null || echo kept")
			if got != "153\n1048576\nkept\n" {
				t.Errorf("%s: %q", dir, got)
			}
		}
		if got, _ := script(t, box, "head -c 3000000 /dev/zero | wc -c"); got != "3000000\n" {
			t.Errorf("a pipe is no file: %q", got)
		}
		mustWrite(t, box, "/tmp/big", strings.Repeat("x", 2<<20)) // the caller's to bound
	})
}

// TestOpenFiles: what a sandbox may open is not what its server happened to be
// started with.
func TestOpenFiles(t *testing.T) {
	n := startNative(t)
	soft, most, _ := strings.Cut(run(t, create(t, n, Spec{}), "ulimit -Sn; ulimit -Hn"), "\n")
	s, err := strconv.Atoi(soft)
	h, err2 := strconv.Atoi(most)
	if err := errors.Join(err, err2); err != nil || s < 1 || s > 1024 || h > 512<<10 || h < s {
		t.Errorf("%q and %q: %v", soft, most, err)
	}
}

// TestPIDMax: the kernel's bound is the sandbox's own, and its root cannot
// change it.
func TestPIDMax(t *testing.T) {
	const file = "/proc/sys/kernel/pid_max"
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rt := modes[slices.IndexFunc(modes, func(m mode) bool { return m.name == "native-search" })].start(t)
	if !sandboxagent.KernelAtLeast(6, 14) {
		t.Skip("one bound for the whole machine")
	}
	box := create(t, rt, Spec{Limits: Limits{PIDs: 100}})
	if got := run(t, box, "cat "+file+"; (echo 100000 > "+file+") 2>/dev/null || echo kept; cat "+file); got != "401\nkept\n401" {
		t.Errorf("%q", got)
	}
	if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
		t.Errorf("the machine's own: %s, before %s: %v", after, before, err)
	}
}

func TestCPULimit(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := limited(t, rt, func(f Features) bool { return f.LimitCPU }, Limits{CPUMillicores: 100})
		// Lines of "0m0.250000s 0m0.010000s", of the shell and of its children.
		const work = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; times"
		got, took := script(t, box, work)
		if ownKernel(rt) { // whose clocks do not tell
			if _, free := script(t, create(t, rt, Spec{ID: "free"}), work); took < 2*free {
				t.Errorf("%v, without a limit %v", took, free)
			}
			return
		}
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
