package runtime

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
)

// sandbox is a sandbox of the native runtime.
type sandbox struct {
	rt      *native
	id      string
	group   string     // ends the names of its cgroups: the id, unless its agent was started ahead
	image   *ImageRoot // nil over the host's /usr
	control *control
	agent   *os.Process
	cgroup  *sandboxCgroup // nil without cgroups
	leaves  leaves
	freezer freezer
	ready   sandboxagent.Ready
	done    chan struct{}

	hostNetwork bool
	limited     []string // cgroups of its own for limits

	fenced    *fencedBox // nil with namespaces
	container *container // nil unless it is in one

	ending, closing  sync.Once
	endErr, closeErr error
}

// serve handles what the agent says until there is no agent any more. The end
// of the socket is that of the agent, or made to be.
func (s *sandbox) serve() {
	err := s.control.receive()
	if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
		s.rt.log.Debug("sandbox control ended", "agent", s.group, "error", err)
	}
	// With its first process the kernel kills the whole pid namespace, and
	// the wait returns when all of it is gone.
	s.kill()
	if err := s.waitAgent(); err != nil {
		s.rt.log.Debug("sandbox agent", "agent", s.group, "error", err)
	}
	s.control.shut()
	close(s.done)
}

// kill begins the end of the agent and of everything it has started.
func (s *sandbox) kill() {
	if s.fenced != nil {
		s.fenced.cut()
		return
	}
	if s.container != nil {
		s.container.kill()
		return
	}
	_ = s.agent.Kill()
}

func (s *sandbox) waitAgent() error {
	if s.fenced != nil {
		return s.fenced.wait(s.agent)
	}
	if s.container != nil {
		return s.container.wait()
	}
	_, err := s.agent.Wait()
	return err
}

// Home is where commands start.
func (s *sandbox) Home() string { return s.image.home() }

// Done is closed when the sandbox has ended.
func (s *sandbox) Done() <-chan struct{} { return s.done }

// OpenFile has the agent open a file and checks what it gives back.
func (s *sandbox) OpenFile(ctx context.Context, name string, flag int, perm fs.FileMode) (*os.File, error) {
	const known = unix.O_ACCMODE | os.O_APPEND | os.O_CREATE | os.O_EXCL | os.O_SYNC | os.O_TRUNC | unix.O_CLOEXEC
	if flag&^known != 0 || name == "" || len(name) >= unix.PathMax {
		return nil, &fs.PathError{Op: "open", Path: name, Err: unix.EINVAL}
	}
	return s.open(ctx, name, &sandboxagent.Open{Path: []byte(name), Flag: flag, Perm: uint32(perm.Perm())})
}

// OpenDir has the agent open a directory and checks what it gives back.
func (s *sandbox) OpenDir(ctx context.Context, name string) (*os.File, error) {
	if name == "" || len(name) >= unix.PathMax {
		return nil, &fs.PathError{Op: "open", Path: name, Err: unix.EINVAL}
	}
	return s.open(ctx, name, &sandboxagent.Open{Path: []byte(name), Dir: true})
}

func (s *sandbox) open(ctx context.Context, name string, open *sandboxagent.Open) (*os.File, error) {
	wait := &call{file: true, undo: closeAnswer}
	got, err := s.control.do(ctx, wait, nil, &sandboxagent.Request{Open: open}, nil)
	if err != nil {
		closeAnswer(got)
		return nil, pathError("open", name, err)
	}
	if err := checkFile(got.fd, open); err != nil {
		closeAnswer(got)
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(got.fd), name), nil
}

func closeAnswer(got answer) {
	if got.Reply != nil && got.fd >= 0 {
		unix.Close(got.fd)
	}
}

// checkFile makes sure that an agent gave what was asked for.
func checkFile(fd int, asked *sandboxagent.Open) error {
	if fd < 0 {
		return errProtocol
	}
	got, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	if got&unix.O_ACCMODE != asked.Flag&unix.O_ACCMODE || got&unix.O_PATH != 0 {
		return errProtocol
	}
	return sandboxagent.CheckFile(fd, asked.Dir)
}

// notRegular names what opening a pipe or socket without its other end gives.
func notRegular(err unix.Errno) unix.Errno {
	if err == unix.ENXIO {
		return unix.EINVAL
	}
	return err
}

// pathError gives an error of the agent the form that callers know.
func pathError(op, name string, err error) error {
	var failed *sandboxagent.Error
	if !errors.As(err, &failed) {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	if failed.Errno == 0 {
		return &fs.PathError{Op: failed.Op, Path: name, Err: errors.New(failed.Text)}
	}
	return &fs.PathError{Op: failed.Op, Path: name, Err: notRegular(failed.Errno)}
}

// enterCgroup makes the sandbox's cgroup, and opens the one for the agent.
func (s *sandbox) enterCgroup(all *cgroups) (*os.File, error) {
	var err error
	if s.cgroup, err = all.create(s.group); err != nil {
		return nil, err
	}
	s.leaves.group = s.cgroup
	return s.cgroup.leaf(agentLeaf)
}

// Stop kills every process of the sandbox and keeps its files.
func (s *sandbox) Stop() error {
	err := s.end()
	s.rt.stopped(s.id, s)
	return err
}

// Close is Stop, and removes the files unless a later sandbox has them.
func (s *sandbox) Close() error {
	s.closing.Do(func() {
		s.closeErr = errors.Join(s.Stop(), s.rt.release(s.id, s, s.rt.layers.remove))
	})
	return s.closeErr
}

// end ends the agent, and with it all processes.
func (s *sandbox) end() error {
	s.ending.Do(func() {
		s.kill()
		<-s.done
		s.endErr = errors.Join(s.removeCgroup(), s.unlimit())
	})
	return s.endErr
}

func (s *sandbox) removeCgroup() error {
	if s.cgroup == nil {
		return nil
	}
	s.leaves.close()
	return s.cgroup.remove()
}
