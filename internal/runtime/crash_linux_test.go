package runtime

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
)

// helper is the command that starts the test program again as one of the
// helpers.
func helper(t *testing.T, name string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(selfExe)
	cmd.Env = append(append(os.Environ(), helperKey+"="+name), env...)
	return cmd
}

func init() {
	helpers["server"] = func() error { return serverHelper(newNative) }
	helpers["frozen-server"] = frozenServerHelper
	helpers["process-server"] = func() error { return serverHelper(newProcess) }
	helpers["no-namespaces"] = noNamespacesHelper
	helpers["masked-proc"] = maskedProcHelper
}

// serverHelper runs sandboxes until it is killed. Its commands hold the
// pipe that it was given.
func serverHelper(open func(Config) (Runtime, error)) error {
	rt, err := open(helperConfig())
	if err != nil {
		return err
	}
	pipe := os.NewFile(3, "pipe")
	for _, id := range []string{"a", "b"} {
		box, err := rt.Create(context.Background(), Spec{ID: id})
		if err != nil {
			return err
		}
		cmd := shell("setsid sleep 1000 & echo started; sleep 1000")
		cmd.Stdout = pipe
		if _, err := box.Start(context.Background(), cmd); err != nil {
			return err
		}
	}
	select {}
}

// frozenServerHelper runs sandboxes whose commands stand still.
func frozenServerHelper() error {
	rt, err := newNative(helperConfig())
	if err != nil {
		return err
	}
	pipe := os.NewFile(3, "pipe")
	for _, id := range []string{"a", "b"} {
		box, err := rt.Create(context.Background(), Spec{ID: id})
		if err != nil {
			return err
		}
		cmd := shell("setsid sleep 1000 & sleep 1000")
		cmd.Stdout = pipe
		if _, err := box.Start(context.Background(), cmd); err != nil {
			return err
		}
		if _, err := box.(*sandbox).freeze(context.Background()); err != nil {
			return err
		}
		if _, err := pipe.WriteString("frozen\n"); err != nil {
			return err
		}
	}
	select {}
}

func helperConfig() Config {
	cfg, err := Config{Dir: os.Getenv("RUNTIME_TEST_DIR")}.complete()
	if err != nil {
		panic(err)
	}
	return cfg
}

// killServer kills a server whose commands run, and waits until they are gone.
func killServer(t *testing.T, name, dir string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := helper(t, name, "RUNTIME_TEST_DIR="+dir)
	cmd.ExtraFiles = []*os.File{w}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	defer cmd.Wait()
	defer cmd.Process.Kill()
	r.SetReadDeadline(time.Now().Add(timeout))
	lines := bufio.NewReader(r)
	for range 2 {
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	if _, err := io.Copy(io.Discard, lines); err != nil {
		t.Fatalf("processes are left: %v", err)
	}
	t.Logf("all processes gone after %v", time.Since(killed))
}

// TestProcessServerKilled: also where nothing is isolated, no command outlives
// the server.
func TestProcessServerKilled(t *testing.T) {
	noLeaks(t)
	dir := filepath.Join(t.TempDir(), "boxes")
	killServer(t, "process-server", dir)
	eventually(t, "a new runtime", func() error {
		rt, err := New(Config{Dir: dir, Isolation: IsolationProcess})
		if err != nil {
			return err
		}
		return rt.Close()
	})
}

// TestServerKilled kills a server, and looks for what is left.
func TestServerKilled(t *testing.T) {
	for _, name := range []string{"server", "frozen-server"} {
		t.Run(name, func(t *testing.T) { testServerKilled(t, name) })
	}
}

func testServerKilled(t *testing.T, name string) {
	startNative(t) // or skip
	dir := filepath.Join(t.TempDir(), "boxes")
	killServer(t, name, dir)
	// The next runtime in the directory removes the rest.
	var rt Runtime
	eventually(t, "a new runtime", func() (err error) {
		rt, err = New(Config{Dir: dir, Isolation: IsolationNative})
		return err
	})
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
}

// inNamespaces starts a helper as root of a user namespace.
func inNamespaces(cmd *exec.Cmd, flags uintptr) {
	ids := idMap{uid: os.Geteuid(), gid: os.Getegid(), size: 1}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	if os.Geteuid() == 0 {
		ids = idMap{uid: rangeStart, gid: rangeStart, size: rangeSize}
		cmd.SysProcAttr.Credential = &syscall.Credential{}
	}
	ids.apply(cmd.SysProcAttr)
}

// ownForNamespaces gives a test's directory to such a helper.
func ownForNamespaces(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	for _, name := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chown(name, rangeStart, rangeStart); err != nil {
			t.Fatal(err)
		}
	}
}

// runHelper runs a helper that is root of namespaces of its own.
func runHelper(t *testing.T, name string, flags uintptr) {
	t.Helper()
	startNative(t) // or skip
	dir := t.TempDir()
	ownForNamespaces(t, dir)
	cmd := helper(t, name, "RUNTIME_TEST_DIR="+filepath.Join(dir, "boxes"))
	inNamespaces(cmd, flags)
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	t.Logf("%s", output)
}

// TestNoNamespaces has a host that refuses user namespaces.
func TestNoNamespaces(t *testing.T) {
	runHelper(t, "no-namespaces", 0)
}

func noNamespacesHelper() error {
	// Of its own user namespace, which the test's is not.
	inode, err := sandboxagent.Namespace("user")
	if err != nil || inode == 0xEFFFFFFD {
		return fmt.Errorf("not in a user namespace: %w", err)
	}
	if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
		return err
	}
	cfg := helperConfig()
	if _, err := New(Config{Dir: cfg.Dir, Isolation: IsolationNative}); !errors.Is(err, ErrUnsupported) {
		return fmt.Errorf("native: %w", err)
	} else {
		fmt.Println(err)
	}
	best := IsolationProcess
	if _, err := sandboxagent.LandlockABI(); err == nil {
		best = IsolationLandlock
	}
	rt, err := New(Config{Dir: cfg.Dir, Minimum: IsolationProcess})
	if err != nil {
		return err
	}
	if rt.Isolation() != best {
		return fmt.Errorf("isolation %s", rt.Isolation())
	}
	if err := rt.Close(); err != nil {
		return err
	}
	report := Probe(cfg.Dir, "")
	if report.Step != best || !errors.Is(report.Reason, ErrUnsupported) {
		return fmt.Errorf("probe: %+v", report)
	}
	if best == IsolationLandlock {
		return nil
	}
	// No isolation is nothing that comes by itself.
	if rt, err := New(Config{Dir: cfg.Dir}); !errors.Is(err, ErrUnsupported) {
		return fmt.Errorf("%v: %w", rt, err)
	}
	return nil
}

// TestMaskedProc has a host that hides parts of /proc, as containers do, so
// that the kernel refuses a new one.
func TestMaskedProc(t *testing.T) {
	runHelper(t, "masked-proc", syscall.CLONE_NEWNS)
}

// maskProc covers a part of /proc in the mount namespace of this process.
func maskProc() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	return unix.Mount("/dev/null", "/proc/version", "", unix.MS_BIND, "")
}

func maskedProcHelper() error {
	if err := maskProc(); err != nil {
		return err
	}
	n, err := openDetected(helperConfig(), false)
	if err != nil {
		return err
	}
	defer n.Close()
	fmt.Printf("%+v\n", n.features)
	if n.features.OwnProc {
		return errors.New("a new /proc over a masked one")
	}
	return killInMaskedProc(n)
}

// killInMaskedProc kills a tree by the numbers of an outer pid namespace.
func killInMaskedProc(n *native) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	box, err := n.Create(ctx, Spec{ID: "box"})
	if err != nil {
		return err
	}
	ours, theirs, err := OutputPipe()
	if err != nil {
		return err
	}
	cmd := shell(runaway)
	cmd.Stdout = theirs
	process, err := box.Start(ctx, cmd)
	if err != nil {
		return err
	}
	theirs.Close()
	if _, err := ours.Read(make([]byte, 1)); err != nil {
		return err
	}
	if err := process.Kill(); err != nil {
		return err
	}
	ours.SetReadDeadline(time.Now().Add(timeout))
	_, err = io.Copy(io.Discard, ours)
	return errors.Join(err, box.Close())
}

func init() {
	helpers["itself"] = func() error { fmt.Println("the program itself"); return nil }
}

// TestAgentLeavesProgramsAlone: a program that is called by the agent's name is
// still that program, as long as no server says that it is the agent.
func TestAgentLeavesProgramsAlone(t *testing.T) {
	for _, name := range []string{sandboxagent.Name, "other"} {
		cmd := &exec.Cmd{Path: selfExe, Args: []string{name}, Env: []string{helperKey + "=itself"}}
		if name != sandboxagent.Name {
			cmd.Env = append(cmd.Env, sandboxagent.Marker)
		}
		output, err := cmd.CombinedOutput()
		if err != nil || string(output) != "the program itself\n" {
			t.Errorf("%s: %v: %s", name, err, output)
		}
	}
}

// TestAgentRefuses starts the agent in wrong places. None of them is the
// first process of a pid namespace and has a server's socket at once.
func TestAgentRefuses(t *testing.T) {
	noLeaks(t)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	socket := os.NewFile(uintptr(pair[0]), "socket")
	defer socket.Close()
	defer unix.Close(pair[1])
	mounts, err := sandboxagent.Namespace("mnt")
	if err != nil {
		t.Fatal(err)
	}
	launch := fmt.Sprintf(`{"args":["x"],"outside":{"user":1,"mnt":%d}}`, mounts)
	tests := []struct {
		name  string
		args  []string
		env   []string
		files []*os.File
		flags uintptr
		want  string
	}{
		{"arguments", []string{"-test.run=x"}, []string{sandboxagent.Marker}, nil, 0, "not started by a sandbox server"},
		{"outside", nil, []string{sandboxagent.Marker}, []*os.File{socket}, 0, "not the first process"},
		{"no socket", nil, []string{sandboxagent.Marker}, nil, syscall.CLONE_NEWPID, "control socket"},
		{"contained outside", nil, []string{sandboxagent.ContainedMarker}, []*os.File{socket}, 0, "not the first process"},
		{"contained without a socket", nil, []string{sandboxagent.ContainedMarker}, nil, syscall.CLONE_NEWPID, "control socket"},
		{"launcher without a task", nil, []string{sandboxagent.LauncherMarker}, nil, 0, "not started by a sandbox server"},
		{"launcher outside", []string{`{"args":["x"]}`}, []string{sandboxagent.LauncherMarker}, nil, 0, "user namespace"},
		{"launcher among a server's mounts", []string{launch}, []string{sandboxagent.LauncherMarker}, nil, syscall.CLONE_NEWPID, "the mnt namespace is the server's"},
	}
	for _, test := range tests {
		cmd := &exec.Cmd{Path: selfExe, Args: append([]string{sandboxagent.Name}, test.args...), Env: append([]string{"A=1"}, test.env...), ExtraFiles: test.files}
		if test.flags != 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: test.flags | syscall.CLONE_NEWUSER}
		}
		output, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			if test.flags != 0 && errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) {
				t.Logf("%s: no namespaces here: %v", test.name, err)
				continue
			}
			t.Errorf("%s: %v\n%s", test.name, err, output)
			continue
		}
		if exit.ExitCode() != 125 || !strings.Contains(string(output), test.want) {
			t.Errorf("%s: code %d, %s", test.name, exit.ExitCode(), output)
		}
	}
}
