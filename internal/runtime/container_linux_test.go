package runtime

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// containerPrograms are what the tests have make containers that share the
// host's kernel.
var containerPrograms = []string{"crun", "runc"}

// eachContainer runs a test with each of the programs that is there.
func eachContainer(t *testing.T, test func(t *testing.T, n *native)) {
	t.Helper()
	for _, program := range containerPrograms {
		t.Run(program, func(t *testing.T) { test(t, modeOf("native-"+program).start(t).(*native)) })
	}
}

// TestContainerMinimum: a container counts as what it is, whoever the server is.
func TestContainerMinimum(t *testing.T) {
	for _, program := range containerPrograms {
		t.Run(program, func(t *testing.T) {
			modeOf("native-" + program).start(t).Close() // or skip
			for _, minimum := range []Isolation{IsolationOCI, IsolationRoot, IsolationSubordinate, IsolationRootless} {
				dir := filepath.Join(t.TempDir(), "boxes")
				_, err := New(Config{Dir: dir, OCI: program, Minimum: minimum})
				if weak, ok := errors.AsType[*WeakError](err); !ok || weak.Best != IsolationContainer || weak.Minimum != minimum || weak.Err == nil {
					t.Errorf("%s: %v", minimum, err)
				}
				if _, err := os.Lstat(dir); err == nil {
					t.Errorf("%s: left %q", minimum, entries(t, dir))
				}
			}
			rt, err := New(Config{Dir: filepath.Join(t.TempDir(), "boxes"), OCI: program, Minimum: IsolationContainer})
			if err != nil {
				t.Fatal(err)
			}
			defer rt.Close()
			if rt.Isolation() != IsolationNative || StepOf(rt) != IsolationContainer {
				t.Errorf("%s, %s", rt.Isolation(), StepOf(rt))
			}
			report := Probe(t.TempDir(), program)
			if report.Step != IsolationContainer || report.Isolation != IsolationNative || report.Rungs[0].Works || !errors.Is(report.Rungs[0].Err, errSharedKernel) {
				t.Errorf("%+v", report)
			}
		})
	}
}

// TestContainerProgram: the program that makes a container is the sandbox's
// root, and not the machine's, and is none of those that limits count.
func TestContainerProgram(t *testing.T) {
	eachContainer(t, func(t *testing.T, n *native) {
		box := create(t, n, Spec{}).(*sandbox)
		pid := box.container.command.Pid
		for name, inner := range map[string]string{"user": "user", "mnt": ""} {
			outside := n.outside[name]
			if got := inodeOf(t, inProc(pid, "ns/"+name)); got == outside {
				t.Errorf("the program is in the server's %s namespace", name)
			} else if inner != "" && got != inodeOf(t, inProc(box.agent.Pid, "ns/"+inner)) {
				t.Errorf("the sandbox is in another %s namespace", name)
			}
		}
		if box.cgroup == nil {
			return
		}
		in, err := os.ReadFile(filepath.Join(box.cgroup.dir, agentLeaf, procsFile))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Fields(string(in)); len(got) != 1 || got[0] != strconv.Itoa(box.agent.Pid) {
			t.Errorf("%q are in the cgroup of agent %d", got, box.agent.Pid)
		}
	})
}

// TestContainerProgramKilled: a sandbox goes on without the program that has
// made its container, and ends as others do.
func TestContainerProgramKilled(t *testing.T) {
	eachContainer(t, func(t *testing.T, n *native) {
		box := create(t, n, Spec{}).(*sandbox)
		if err := box.container.command.Kill(); err != nil {
			t.Fatal(err)
		}
		if got := run(t, box, "echo alive"); got != "alive" {
			t.Error(got)
		}
		if err := box.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(inProc(box.agent.Pid, "ns")); err == nil {
			eventually(t, "the end of the agent", func() error {
				if state, err := os.ReadFile(inProc(box.agent.Pid, "status")); err == nil && !strings.Contains(string(state), "State:\tZ") {
					return errors.New(string(state))
				}
				return nil
			})
		}
	})
}

// TestContainerHangs: a creation ends with its context, whatever the program
// does.
func TestContainerHangs(t *testing.T) {
	noLeaks(t)
	native := modeOf("native").start(t).(*native)
	program := filepath.Join(t.TempDir(), "runc")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexec sleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	native.containers = &containers{command: program, file: file}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := native.Create(ctx, Spec{ID: "a"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if took := time.Since(began); took > ociEnd {
		t.Errorf("took %v", took)
	}
}

func init() {
	for _, program := range containerPrograms {
		helpers[program+"-server"] = func() error { return serverHelper(modeOf("native-" + program).open) }
	}
}

// TestContainerServerKilled: no container, program, process or mount outlives
// the server, and the next one removes its files.
func TestContainerServerKilled(t *testing.T) {
	for _, program := range containerPrograms {
		t.Run(program, func(t *testing.T) {
			m := modeOf("native-" + program)
			m.start(t) // or skip
			dir := filepath.Join(t.TempDir(), "boxes")
			killServer(t, program+"-server", dir)
			l := &layers{dir: dir}
			eventually(t, "the end of the programs", func() error {
				for _, file := range commandLines(t) {
					text, _ := os.ReadFile(file)
					for _, id := range []string{"a", "b"} {
						if strings.Contains(string(text), l.containerID(id)) {
							return errors.New(strings.ReplaceAll(string(text), "\x00", " "))
						}
					}
				}
				return nil
			})
			if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), dir) {
				t.Errorf("mounts: %v, %s", err, mounts)
			}
			rt, err := m.open(Config{Dir: dir, Logger: discard()})
			if err != nil {
				t.Fatal(err)
			}
			if got := entries(t, layersOf(rt).path("")); len(got) != 0 {
				t.Errorf("files of %q are left", got)
			}
			if got := cgroupsIn(dir); len(got) != 0 {
				t.Errorf("cgroups %q are left", got)
			}
			create(t, rt, Spec{ID: "a"})
			if err := rt.Close(); err != nil {
				t.Error(err)
			}
			if got := entries(t, dir); len(got) != 0 {
				t.Errorf("left: %q", got)
			}
		})
	}
}

// TestContainerSpares: agents are started ahead in containers, too.
func TestContainerSpares(t *testing.T) {
	eachContainer(t, func(t *testing.T, n *native) {
		n.spares.most = 1
		for _, id := range []string{"a", "b", "c"} {
			create(t, n, Spec{ID: id})
		}
		eventually(t, "an agent ahead", func() error {
			if !n.spares.full() {
				return errors.New("there is none")
			}
			return nil
		})
		box := create(t, n, Spec{ID: "d", Hostname: "ahead"}).(*sandbox)
		if box.group == "d" || box.container == nil {
			t.Errorf("group %q", box.group)
		}
		if got := run(t, box, "hostname"); got != "ahead" {
			t.Error(got)
		}
	})
}

func inodeOf(t *testing.T, name string) uint64 {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

// leakyProgram is runc with directories of the host that it leaves open.
func leakyProgram(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "leaky")
	const text = `#!/bin/sh
case "$*" in
*--preserve-fds*)
	exec 6</ 7</ 8</etc
	set -- $(echo "$*" | sed 's/--preserve-fds 2/--preserve-fds 6/') ;;
esac
exec runc "$@"
`
	if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestContainerLeak: no command begins in a directory that the program has left
// open in the agent, as runc before 1.1.12 did.
func TestContainerLeak(t *testing.T) {
	modeOf("native-runc").start(t).Close() // or skip
	rt, err := New(Config{Dir: filepath.Join(t.TempDir(), "boxes"), OCI: leakyProgram(t), Minimum: IsolationContainer})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	box := create(t, rt, Spec{})
	for fd := 3; fd < 64; fd++ {
		cmd := shell("ls -a; pwd")
		cmd.Dir = "/proc/self/fd/" + strconv.Itoa(fd)
		process, err := box.Start(t.Context(), cmd)
		if err != nil {
			continue
		}
		_, _ = process.Wait(t.Context())
		t.Errorf("a command began in descriptor %d", fd)
	}
}
