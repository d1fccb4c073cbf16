package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
	"github.com/langsandbox/sandbox-go/internal/sandboxagent/proctree"
)

// landlockFence starts the commands of IsolationLandlock: an agent that is no
// first process and has no root of its own, behind rules of Landlock and
// seccomp, and above it a keeper that nothing gets away from.
type landlockFence struct {
	*native // only what starting agents needs
	found   Features
}

// newLandlock returns the runtime if a trial sandbox works.
func newLandlock(cfg Config) (Runtime, error) {
	made, err := newProcess(cfg)
	if err != nil {
		return nil, err
	}
	rt := made.(*processRuntime) //nolint:errcheck // what it returns
	f := &landlockFence{native: &native{log: cfg.Logger, layers: rt.layers, ids: idMap{uid: os.Geteuid(), gid: os.Getegid(), size: 1}}}
	rt.fence = f
	err = f.open()
	if err == nil {
		err = f.try(rt)
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrUnsupported, err)
		return nil, errors.Join(err, rt.Close())
	}
	return rt, nil
}

func (f *landlockFence) open() (err error) {
	if _, err = sandboxagent.LandlockABI(); err != nil {
		return err
	}
	f.limiter = openLimiter(f.layers.dir, nil)
	if f.null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
		return err
	}
	f.program, err = openProgram(f.ids)
	return err
}

// try runs a command in a sandbox, and learns what is in force.
func (f *landlockFence) try(rt *processRuntime) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	made, err := rt.Create(ctx, Spec{ID: "probe", Limits: Limits{CPUMillicores: 1000, MemoryBytes: 1 << 30, PIDs: 1000}})
	if err != nil {
		return err
	}
	ready := made.(*processBox).launcher.(*fencedBox).ready //nolint:errcheck // what this Create returns
	f.found = Features{
		IDs:           1,
		NoNestedUsers: true,
		SyscallFilter: ready.Filter,
		Landlock:      ready.Landlock,

		LimitCPU: f.limiter.has("cpu", nil), LimitMemory: f.limiter.has("memory", nil), LimitPIDs: f.limiter.has("pids", nil),
		LimitFileBytes: true,
	}
	f.found.missing(f.limiter, nil)
	f.log.Debug("landlock isolation", "features", f.found)
	// What is outside must be out of reach, and what is inside must work.
	err = runTrial(ctx, made, Command{Args: []string{"/bin/sh", "-c", `echo x >"$HOME/x" && ! (echo x >"$0") && ! ls "$1"`, f.layers.dir + "/outside", f.layers.dir}})
	return errors.Join(err, made.Close())
}

// runTrial runs a command that has to end well.
func runTrial(ctx context.Context, box Sandbox, cmd Command) error {
	process, err := box.Start(ctx, cmd)
	if err != nil {
		return err
	}
	status, err := process.Wait(ctx)
	if err == nil && status.Code != 0 {
		err = fmt.Errorf("%s: exit code %d", cmd.Args[0], status.Code)
	}
	return err
}

func (f *landlockFence) features() Features { return f.found }

func (f *landlockFence) close() {
	f.program.close()
	if f.null != nil {
		f.null.Close()
	}
}

// fencedBox is what starts the commands of one sandbox.
type fencedBox struct {
	*sandbox
	files    *processBox
	lifeline *os.File
	cutting  sync.Once

	mu    sync.Mutex
	known map[string]bool // listening sockets that were found to be the sandbox's
}

// launch starts a keeper and its agent.
func (f *landlockFence) launch(ctx context.Context, files *processBox, spec Spec) (launcher, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	box := &fencedBox{files: files, sandbox: &sandbox{rt: f.native, id: spec.ID, group: spec.ID, hostNetwork: spec.HostNetwork, done: make(chan struct{})}}
	box.fenced = box
	complaints, err := f.startKeeper(box)
	if err != nil {
		return nil, err
	}
	defer complaints.Close()
	go box.serve()
	err = f.limit(box.sandbox, spec.Limits) // before it has children
	if err == nil {
		_, err = box.lifeline.Write([]byte{1})
	}
	if err == nil {
		err = box.setUp(ctx, spec)
	}
	if err != nil {
		closed := box.end()
		if said := readComplaints(complaints); said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
		return nil, errors.Join(err, closed)
	}
	go func() {
		<-box.done
		_ = files.end()
	}()
	return box, nil
}

func (f *landlockFence) startKeeper(box *fencedBox) (complaints *os.File, err error) {
	control, theirs, err := newControl()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	box.control = control
	end, lifeline, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, control.file.Close())
	}
	defer end.Close()
	box.lifeline = lifeline
	complaints, stderr, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, control.file.Close(), lifeline.Close())
	}
	defer stderr.Close()
	box.agent, err = os.StartProcess(f.program.path, []string{sandboxagent.Name}, &os.ProcAttr{
		Dir:   "/",
		Env:   []string{sandboxagent.KeeperMarker, agentThreads},
		Files: []*os.File{f.null, f.null, stderr, theirs, end},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start keeper: %w", err), control.file.Close(), lifeline.Close(), complaints.Close())
	}
	return complaints, nil
}

// setUp tells the agent what is inside of the fence.
func (b *fencedBox) setUp(ctx context.Context, spec Spec) error {
	setup := &sandboxagent.Setup{
		Home:        b.files.Home(),
		HostNetwork: spec.HostNetwork,
		Fence:       &sandboxagent.Fence{Write: []string{b.files.dir}},
		Rlimits:     sandboxagent.Rlimits{FileBytes: spec.Limits.FileBytes},
	}
	for _, m := range spec.Mounts {
		if m.ReadOnly {
			setup.Fence.Read = append(setup.Fence.Read, m.Source)
		} else {
			setup.Fence.Write = append(setup.Fence.Write, m.Source)
		}
	}
	got, err := b.control.do(ctx, &call{undo: func(answer) {}}, nil, &sandboxagent.Request{Setup: setup}, nil)
	if err != nil {
		return err
	}
	if got.Ready == nil {
		return errProtocol
	}
	b.ready = *got.Ready
	return nil
}

// place is what a command begins with.
func (b *fencedBox) place(dir string) (env []string, in, cookie string) {
	return b.files.baseEnv(), b.files.workDir(dir), newCookie(b.files.cookie + ".")
}

// cut tells the keeper to end everything.
func (b *fencedBox) cut() { b.cutting.Do(func() { b.lifeline.Close() }) }

// keeperTimeout bounds how long a keeper may look for what is left.
const keeperTimeout = 15 * time.Second

// wait waits until the keeper has ended, and everything below it. What a keeper
// leaves that was killed is found by its environment.
func (b *fencedBox) wait(keeper *os.Process) error {
	late := time.AfterFunc(keeperTimeout, func() { _ = keeper.Kill() })
	defer late.Stop()
	state, err := keeper.Wait()
	if err == nil && state.Success() {
		return nil
	}
	return errors.Join(err, proctree.Tree{Cookie: b.files.cookie + "."}.Kill())
}
