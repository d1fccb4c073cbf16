package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
)

// oci is the runtime of IsolationOCI: another program, runsc, makes containers.
// The agent is their first process. Their roots are directories, which this
// process opens files in: runsc lets no descriptor out of a container.
type oci struct {
	*native // its sockets and commands; it starts nothing

	command  string
	dir      string // of what all containers need
	features Features
}

// openOCI returns the runtime if a trial sandbox works.
func openOCI(cfg Config, command string) (*oci, error) {
	o := &oci{command: command, dir: filepath.Join(cfg.Dir, "oci")}
	cfg.evict = o.evict
	layers, err := openLayers(cfg)
	if err != nil {
		return nil, err
	}
	o.native = &native{
		registry: newRegistry(layers.keeps), log: cfg.Logger, layers: layers,
		ids: idMap{uid: os.Geteuid(), gid: os.Getegid(), size: 1},
	}
	o.cgroups, o.noCgroups = openCgroups(layers.dir, o.ids)
	o.limiter = openLimiter(layers.dir, o.cgroups)
	err = o.open()
	if err == nil {
		err = o.try()
	}
	if err != nil && o.cgroups != nil {
		o.log.Debug("no cgroups for containers", "reason", err)
		o.cgroups, o.noCgroups, o.limiter = nil, err, openLimiter(layers.dir, nil)
		err = o.try()
	}
	if err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

// ociCommand is the command with none of the server's environment. Its group is
// its own, so that a signal from the server's terminal does not reach it.
func ociCommand(ctx context.Context, command string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, command, args...)
	cmd.Env = ociEnv
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.WaitDelay = time.Second
	return cmd
}

var ociEnv = []string{"PATH=" + standardPath}

// try runs a command in a sandbox, and learns what is in force.
func (o *oci) try() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	box, err := o.Create(ctx, Spec{ID: "probe", Limits: Limits{CPUMillicores: 1000, MemoryBytes: 1 << 30, FileBytes: 1 << 30}})
	if err != nil {
		return err
	}
	err = runTrial(ctx, box, Command{Args: []string{"/bin/sh", "-c", ":"}})
	o.features = Features{
		IDs: o.ids.size, OwnProc: true, SyscallFilter: true,
		LimitCPU: o.limiter.has("cpu", o.cgroups), LimitMemory: o.limiter.has("memory", o.cgroups), LimitFileBytes: true,
		Unlimited: []string{"pids: " + ociPIDs},
	}
	for _, controller := range []string{"cpu", "memory"} {
		if why := o.limiter.reasons[controller]; why != nil {
			o.features.Unlimited = append(o.features.Unlimited, controller+": "+why.Error())
		}
	}
	return errors.Join(err, box.Close())
}

// Isolation reports what is in force.
func (o *oci) Isolation() Isolation { return IsolationOCI }

func (o *oci) step() Isolation { return IsolationOCI }

// Features reports the details.
func (o *oci) Features() Features { return o.features }

// Create starts a sandbox.
func (o *oci) Create(ctx context.Context, spec Spec) (Sandbox, error) {
	spec, err := spec.checked()
	if err != nil {
		return nil, err
	}
	if spec.Image != nil {
		return nil, fmt.Errorf("%w: images have no layers with %s", ErrUnsupported, o.command)
	}
	if err := o.reserve(spec.ID); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	box, err := o.start(ctx, spec)
	if err != nil {
		err = fmt.Errorf("create sandbox %s: %w", spec.ID, err)
		return nil, errors.Join(err, o.abort(spec.ID, o.layers.remove))
	}
	o.add(spec.ID, box)
	return box, nil
}

func (o *oci) start(ctx context.Context, spec Spec) (*ociBox, error) {
	files, err := o.files(ctx, spec, o.layers.path(spec.ID))
	if err != nil {
		return nil, err
	}
	box := &ociBox{
		sandbox: &sandbox{rt: o.native, id: spec.ID, group: spec.ID, hostNetwork: spec.HostNetwork, done: make(chan struct{})},
		oci:     o, files: files,
	}
	if err := o.launch(box, spec); err != nil {
		return nil, errors.Join(err, box.removeCgroup(), files.root.Close())
	}
	go box.serve() //nolint:contextcheck // it ends a container, whatever the caller has given up
	err = o.limit(box.sandbox, ociLimits(spec.Limits))
	if err == nil {
		err = box.setUp(ctx, spec)
	}
	if err == nil {
		err = box.limitAll()
	}
	if err != nil {
		return nil, errors.Join(box.complained(err), box.end())
	}
	box.listen()
	return box, nil
}

// ociMemory is for the kernel of a container, besides what its commands need.
const ociMemory = 128 << 20

// ociLimits are those of all that a container is made of.
func ociLimits(l Limits) Limits {
	l.PIDs = 0
	if l.MemoryBytes > 0 {
		l.MemoryBytes += ociMemory
	}
	return l
}

// files makes the root of a sandbox, and the way into it.
func (o *oci) files(ctx context.Context, spec Spec, dir string) (*processBox, error) {
	root := filepath.Join(dir, snapshotRoot)
	p := &processRuntime{registry: o.registry, log: o.log, layers: o.layers}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if _, err := os.Lstat(root); errors.Is(err, fs.ErrNotExist) && spec.Base != "" {
		if err := p.fill(ctx, root, spec.Base); err != nil {
			return nil, err
		}
	}
	if err := makeDir(root); err != nil {
		return nil, err
	}
	host, err := sandboxagent.GuestRoot(root, spec.Hostname, nativeHome)
	if err != nil {
		return nil, err
	}
	// It is mounted, and what a sandbox has put in its place may lead anywhere.
	if info, err := os.Lstat(filepath.Join(root, "tmp")); err != nil || !info.IsDir() {
		return nil, errors.Join(errors.New("/tmp is no directory"), err)
	}
	for _, m := range spec.Mounts {
		if err := m.checkSource(); err != nil {
			return nil, err
		}
	}
	if err := bundle(dir, o.agent(), host, spec); err != nil {
		return nil, err
	}
	mounts := make([]Mount, 0, len(host)+len(spec.Mounts))
	for _, name := range host {
		mounts = append(mounts, Mount{Source: name, Target: name, ReadOnly: true})
	}
	opened, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	return &processBox{
		rt: p, id: spec.ID, dir: root, root: opened, mounts: append(mounts, spec.Mounts...),
		commands: make(map[*processCommand]bool), done: make(chan struct{}), leaving: make(chan struct{}),
	}, nil
}

// arguments begin those of the command.
func (o *oci) arguments() []string {
	args := []string{"--root", o.state(), "--ignore-cgroups"}
	if os.Geteuid() != 0 {
		args = append(args, "--rootless")
	}
	return args
}

// runArguments are those of a command that runs a container from a bundle.
func (o *oci) runArguments(spec Spec, bundle string) []string {
	network := "none"
	if spec.HostNetwork {
		network = "host"
	}
	return append(o.arguments(),
		"--network", network, "--overlay2", "none", "--file-access", "shared", "--file-access-mounts", "shared",
		"run", "--bundle", bundle, "--pass-fd", "3:3", o.layers.containerID(spec.ID))
}

func (o *oci) launch(box *ociBox, spec Spec) error {
	attr := ownMounts()
	if o.cgroups != nil {
		var err error
		if box.cage, err = o.cgroups.create(spec.ID); err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
		leaf, err := box.cage.leaf("agent")
		if err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
		defer leaf.Close()
		attr.UseCgroupFD, attr.CgroupFD = true, int(leaf.Fd())
	}
	control, theirs, err := newControl()
	if err != nil {
		return err
	}
	defer theirs.Close()
	complaints, stderr, err := os.Pipe()
	if err != nil {
		return errors.Join(err, control.file.Close())
	}
	defer stderr.Close()
	args := append([]string{o.command}, o.runArguments(spec, o.layers.path(spec.ID))...)
	box.agent, err = os.StartProcess(o.command, args, &os.ProcAttr{
		Dir: "/", Env: ociEnv, Files: []*os.File{o.null, o.null, stderr, theirs}, Sys: attr,
	})
	if err != nil {
		return errors.Join(err, control.file.Close(), complaints.Close())
	}
	box.control, box.complaints = control, complaints
	return nil
}

// ownMounts keeps what a runtime mounts from this machine, on which it would
// stay when the runtime is killed.
func ownMounts() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	if os.Geteuid() == 0 {
		attr.Unshareflags = syscall.CLONE_NEWNS
	}
	return attr
}

// Reopen returns a sandbox that an earlier runtime has kept.
func (o *oci) Reopen(spec Spec) (Sandbox, error) {
	return o.reopen(spec, nativeHome, o.layers, func(ctx context.Context, s *leftSandbox, into CaptureSpec) (Captured, error) {
		return o.captureBox(ctx, s.id, s, s.mounts, into)
	})
}

// Close closes every sandbox that is left and removes the runtime's files.
func (o *oci) Close() error {
	first, err := o.close()
	if !first {
		return nil
	}
	if o.null != nil {
		o.null.Close()
	}
	return errors.Join(err, RemoveTree(o.dir), o.layers.close())
}

// ociPIDs is why there is no limit of processes.
const ociPIDs = "the processes of a container are not ones of this machine"

// ociEnd bounds how long a container takes to end once its agent is told to.
const ociEnd = 10 * time.Second

// remove has the command end a container, if there is one.
func (o *oci) remove(id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), ociEnd)
	defer cancel()
	return ociCommand(ctx, o.command, append(o.arguments(), "delete", "--force", id)...).Run()
}

// evict removes what a runtime has left that was killed: containers end by
// themselves then, unless what is in them keeps them from it.
func (o *oci) evict() error {
	if _, err := os.Lstat(o.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), ociEnd)
	defer cancel()
	left, err := ociCommand(ctx, o.command, append(o.arguments(), "list", "--quiet")...).Output()
	for id := range strings.FieldsSeq(string(left)) {
		err = errors.Join(err, o.remove(id))
	}
	return errors.Join(err, RemoveTree(o.dir))
}

// state is where the command notes its containers.
func (o *oci) state() string { return filepath.Join(o.dir, "state") }

// agent is the program that containers start: a copy, since this one's file may
// be replaced while it runs.
func (o *oci) agent() string { return filepath.Join(o.dir, "agent") }

// open makes what all containers need.
func (o *oci) open() (err error) {
	if o.null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
		return err
	}
	if err := os.MkdirAll(o.state(), 0o700); err != nil {
		return err
	}
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer self.Close()
	file, err := os.OpenFile(o.agent(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, self)
	return errors.Join(err, file.Close())
}
