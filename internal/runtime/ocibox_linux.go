package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
	"github.com/langsandbox/sandbox-go/internal/sandboxagent/treecopy"
)

// ociBox is a sandbox in a container that another program made.
type ociBox struct {
	*sandbox

	oci        *oci
	files      *processBox
	cage       *sandboxCgroup // of the whole container; nil without cgroups
	complaints *os.File
	listening  sync.WaitGroup
}

// setUp tells the agent what it is to be.
func (b *ociBox) setUp(ctx context.Context, spec Spec) error {
	setup := &sandboxagent.Setup{
		Hostname: spec.Hostname, Home: nativeHome, HostNetwork: spec.HostNetwork,
		Rlimits: sandboxagent.Rlimits{FileBytes: spec.Limits.FileBytes},
	}
	got, err := b.control.do(ctx, &call{undo: func(answer) {}}, nil, &sandboxagent.Request{Setup: setup}, nil)
	if err == nil && got.Ready == nil {
		err = errProtocol
	}
	return err
}

// limitAll puts what the command has started by now under the limits that it is
// under itself: it may have been faster than they were. No command of the
// sandbox runs yet.
func (b *ociBox) limitAll() error {
	for _, dir := range b.limited {
		procs := filepath.Join(dir, procsFile)
		for moved := true; moved; {
			data, err := os.ReadFile(procs)
			if err != nil {
				return err
			}
			in, of := strings.Fields(string(data)), descendants(b.agent.Pid)
			moved = false
			for _, pid := range of {
				if slices.Contains(in, pid) {
					continue
				}
				moved = true
				if err := writeSetting(procs, pid); err != nil && !errors.Is(err, unix.ESRCH) {
					return err
				}
			}
		}
	}
	return nil
}

// descendants are the processes that come from one, itself included.
func descendants(pid int) []string {
	all := []string{strconv.Itoa(pid)}
	for i := 0; i < len(all); i++ {
		files, _ := filepath.Glob(filepath.Join("/proc", all[i], "task", "*", "children"))
		for _, file := range files {
			data, _ := os.ReadFile(file) // of a thread that may be gone
			all = append(all, strings.Fields(string(data))...)
		}
	}
	return all
}

// complained adds to an error what was said of it.
func (b *ociBox) complained(err error) error {
	_ = b.complaints.SetReadDeadline(time.Now().Add(time.Second)) // the agent may live
	if said := readComplaints(b.complaints); said != "" {
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// listen reads what the command says later, which would kill it if nobody did.
func (b *ociBox) listen() {
	b.listening.Go(func() { _, _ = io.Copy(io.Discard, b.complaints) })
}

// serve handles what the agent says until there is no agent any more, and then
// waits for its container. One whose agent does not end is made to.
func (b *ociBox) serve() {
	err := b.control.receive()
	if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
		b.oci.log.Debug("sandbox control ended", "sandbox", b.id, "error", err)
	}
	b.control.shut()
	exited := make(chan bool)
	go func() {
		state, err := b.agent.Wait()
		exited <- err == nil && state.Exited()
	}()
	clean := false
	select {
	case clean = <-exited:
	case <-time.After(ociEnd):
		err = b.oci.remove(b.oci.layers.containerID(b.id))
		_ = b.agent.Kill()
		<-exited
	}
	if !clean {
		b.oci.log.Warn("a container had to be removed", "sandbox", b.id, "error", errors.Join(err, b.oci.remove(b.oci.layers.containerID(b.id))))
	}
	close(b.done)
}

// Stop kills every process of the sandbox and keeps its files.
func (b *ociBox) Stop() error {
	err := b.end()
	b.oci.stopped(b.id, b)
	return err
}

// Close is Stop, and removes the files unless a later sandbox has them.
func (b *ociBox) Close() error {
	b.closing.Do(func() {
		b.closeErr = errors.Join(b.Stop(), b.oci.release(b.id, b, b.oci.layers.remove))
	})
	return b.closeErr
}

func (b *ociBox) end() error {
	b.ending.Do(func() {
		_ = b.control.file.SetReadDeadline(time.Unix(1, 0))
		b.files.mu.Lock()
		b.files.ended = true
		b.files.mu.Unlock()
		b.files.starting.Wait()
		<-b.done
		b.complaints.Close()
		b.listening.Wait()
		b.endErr = errors.Join(b.files.root.Close(), b.removeCgroup(), b.unlimit())
	})
	return b.endErr
}

// removeCgroup removes the container's, whose processes are gone.
func (b *ociBox) removeCgroup() error {
	if b.cage == nil {
		return nil
	}
	return b.cage.remove()
}

// Capture copies the sandbox's files.
func (b *ociBox) Capture(ctx context.Context, spec CaptureSpec) (Captured, error) {
	return b.oci.captureBox(ctx, b.id, b, b.files.mounts, spec)
}

// captureBox copies the files of a sandbox that runs or was stopped.
func (o *oci) captureBox(ctx context.Context, id string, box Sandbox, mounts []Mount, spec CaptureSpec) (Captured, error) {
	ctx, done, err := o.read(ctx, id, box)
	if err != nil {
		return Captured{}, captureError(ctx, id, err)
	}
	defer done()
	var skip []string
	for _, name := range sandboxagent.IdentityFiles {
		skip = append(skip, strings.TrimPrefix(name, "/"))
	}
	for _, m := range mounts {
		skip = append(skip, strings.TrimPrefix(m.Target, "/"))
	}
	var stats treecopy.Stats
	err = whole(spec.Dir, func(temp string) (err error) {
		parts := []part{{src: filepath.Join(o.layers.path(id), snapshotRoot), dst: filepath.Join(temp, snapshotRoot), skip: skip}}
		stats, err = copyParts(ctx, treecopy.Copy, nobody, treecopy.Options{Limit: spec.Limit}, parts)
		return err
	})
	return Captured(stats), captureError(ctx, id, err)
}

// OpenFile opens a file below the sandbox's root or one of its mounts.
func (b *ociBox) OpenFile(ctx context.Context, name string, flag int, perm fs.FileMode) (*os.File, error) {
	if flag&(os.O_WRONLY|os.O_RDWR|os.O_CREATE|os.O_TRUNC) != 0 && b.readOnly(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: unix.EROFS}
	}
	return b.files.OpenFile(ctx, name, flag, perm)
}

// readOnly reports whether a path is in what can only be read.
func (b *ociBox) readOnly(name string) bool {
	name = filepath.Clean(filepath.Join("/", name))
	found := false
	for _, m := range b.files.mounts { // the innermost is the last one
		if name == m.Target || within(name, m.Target) {
			found = m.ReadOnly
		}
	}
	return found
}

// OpenDir opens a directory, within the same bounds.
func (b *ociBox) OpenDir(ctx context.Context, name string) (*os.File, error) {
	return b.files.OpenDir(ctx, name)
}

// ask makes a request that takes a socket into the sandbox, and returns the
// other end of it.
func (b *ociBox) ask(ctx context.Context, req *sandboxagent.Request, cmd *command) (*os.File, answer, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, answer{}, err
	}
	ours := os.NewFile(uintptr(pair[0]), "peer")
	undo := func(answer) {}
	if cmd != nil {
		undo = cmd.undo
	}
	got, err := b.control.do(ctx, &call{undo: undo}, cmd, req, pair[1:])
	unix.Close(pair[1])
	if err != nil {
		return nil, got, errors.Join(systemError(err), ours.Close())
	}
	return ours, got, nil
}

// systemError is what went wrong in the sandbox, as the system says it.
func systemError(err error) error {
	if failed, ok := errors.AsType[*sandboxagent.Error](err); ok && failed.Errno != 0 {
		return failed.Errno
	}
	return err
}

// Dial connects to what listens in the sandbox.
func (b *ociBox) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return dialOwn(ctx, network, address, b.dial)
}

func (b *ociBox) dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	within, release := during(ctx, b.done)
	defer release()
	file, _, err := b.ask(within, &sandboxagent.Request{Connect: &sandboxagent.Connect{Address: addr.String()}}, nil)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(errProtocol, conn.Close())
	}
	return &ociConn{unixConn, net.TCPAddrFromAddrPort(addr)}, nil
}

// ociConn is a connection that the agent carries on inside.
type ociConn struct {
	*net.UnixConn

	remote net.Addr
}

// RemoteAddr is where the agent is connected to.
func (c *ociConn) RemoteAddr() net.Addr { return c.remote }

// Listen listens on a free port of the sandbox's own loopback.
func (b *ociBox) Listen(ctx context.Context) (net.Listener, error) {
	if b.hostNetwork {
		return nil, fmt.Errorf("listen in a sandbox with the host's network: %w", ErrUnsupported)
	}
	got, err := b.control.do(ctx, &call{undo: func(answer) {}}, nil, &sandboxagent.Request{Listen: new(sandboxagent.Listen)}, nil)
	if err != nil {
		return nil, fmt.Errorf("listen in a sandbox: %w", err)
	}
	l := &ociListener{box: b, addr: &net.TCPAddr{IP: loopback4.AsSlice(), Port: got.PID}}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l, nil
}

// ociListener has the agent accept connections.
type ociListener struct {
	box    *ociBox
	addr   *net.TCPAddr
	ctx    context.Context //nolint:containedctx // until Close
	cancel context.CancelFunc
	once   sync.Once
}

// Accept waits for a connection.
func (l *ociListener) Accept() (net.Conn, error) {
	ctx, release := during(l.ctx, l.box.done)
	defer release()
	file, _, err := l.box.ask(ctx, &sandboxagent.Request{Accept: &sandboxagent.Accept{Port: l.addr.Port}}, nil)
	if err != nil {
		if l.ctx.Err() != nil || errors.Is(err, ErrClosed) {
			err = net.ErrClosed
		}
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: err}
	}
	defer file.Close()
	return net.FileConn(file)
}

// Addr is the address inside the sandbox.
func (l *ociListener) Addr() net.Addr { return l.addr }

// Close stops listening.
func (l *ociListener) Close() error {
	l.once.Do(func() {
		l.cancel()
		ctx, cancel := context.WithTimeout(context.Background(), sendTimeout)
		defer cancel()
		req := &sandboxagent.Request{Listen: &sandboxagent.Listen{Close: l.addr.Port}}
		_, _ = l.box.control.do(ctx, &call{undo: func(answer) {}}, nil, req, nil) // else with the sandbox
	})
	return nil
}

// Start starts a command.
func (b *ociBox) Start(ctx context.Context, spec Command) (Process, error) {
	if spec.TTY == nil {
		return b.sandbox.Start(ctx, spec)
	}
	if len(spec.Args) == 0 {
		return nil, &fs.PathError{Op: "exec", Err: syscall.EINVAL}
	}
	user, runner, err := b.runner(spec.User)
	if err != nil {
		return nil, err
	}
	cmd := &command{box: b.sandbox, cookie: newCookie(""), ended: make(chan struct{})}
	exec := &sandboxagent.Exec{
		Args: spec.Args, Env: mergeEnv(b.image.env(user), spec.Env, []string{cmd.cookie}),
		Dir: spec.Dir, User: runner, TTY: spec.terminal(),
	}
	file, got, err := b.ask(ctx, &sandboxagent.Request{Exec: exec}, cmd)
	if err != nil {
		return nil, startError(err, spec)
	}
	cmd.pid = got.PID
	return ociTerminal{cmd, file}, nil
}

// ociTerminal is a command in a terminal inside, whose bytes come by a socket.
type ociTerminal struct {
	*command

	terminal *os.File
}

// Terminal carries what is typed and printed.
func (t ociTerminal) Terminal() *os.File { return t.terminal }

// Resize changes the size of the terminal.
func (t ociTerminal) Resize(size WindowSize) error {
	ctx, cancel := context.WithTimeout(context.Background(), sendTimeout)
	defer cancel()
	resize := &sandboxagent.Resize{Exec: t.id}
	resize.Size.Cols, resize.Size.Rows = size.Cols, size.Rows
	_, err := t.box.control.do(ctx, &call{undo: func(answer) {}}, nil, &sandboxagent.Request{Resize: resize}, nil)
	return err
}
