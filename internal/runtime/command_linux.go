package runtime

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
)

// command is a command in a sandbox of the native runtime.
type command struct {
	box    *sandbox
	id     uint64
	pid    int
	cookie string
	leaf   string // its cgroup, or empty

	ended  chan struct{}
	status ExitStatus
	err    error
}

// Start starts a command.
func (s *sandbox) Start(ctx context.Context, spec Command) (Process, error) {
	if len(spec.Args) == 0 {
		return nil, &fs.PathError{Op: "exec", Err: unix.EINVAL}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	cmd := &command{box: s, cookie: newCookie(""), ended: make(chan struct{})}
	exec := &sandboxagent.Exec{
		Args: spec.Args,
		Env:  mergeEnv(baseEnv(standardPath, nativeHome, "root"), spec.Env, []string{cmd.cookie}),
		Dir:  spec.Dir,
	}
	var fds []int
	for i, file := range spec.files() {
		if file != nil {
			exec.FDs |= sandboxagent.HasStdin << i
			fds = append(fds, int(file.Fd()))
		}
	}
	if s.cgroup != nil {
		leaf, err := cmd.enterLeaf()
		if err != nil {
			return nil, s.ended(err)
		}
		defer leaf.Close()
		exec.FDs |= sandboxagent.HasCgroup
		fds = append(fds, int(leaf.Fd()))
	}
	exec.TTY = spec.terminal()
	open := &call{undo: cmd.undo, file: exec.TTY != nil}
	got, err := s.control.do(ctx, open, cmd, &sandboxagent.Request{Exec: exec}, fds)
	if err != nil {
		closeAnswer(got)
		return nil, cmd.startError(err, spec)
	}
	cmd.pid = got.PID
	return cmd.started(got.fd, spec.TTY != nil)
}

// ended prefers the sandbox's end as the reason of an error.
func (s *sandbox) ended(err error) error {
	select {
	case <-s.done:
		return ErrClosed
	default:
		return err
	}
}

func (c *command) startError(err error, spec Command) error {
	var failed *sandboxagent.Error
	if !errors.As(err, &failed) {
		return err // undone later, or the sandbox has ended
	}
	c.box.releaseLeaf(c.leaf)
	path := failed.Path
	if path == "" {
		path = spec.Args[0]
	}
	return pathError(failed.Op, path, err)
}

// undo kills a command whose start was given up.
func (c *command) undo(got answer) {
	if got.failure() != nil {
		c.box.releaseLeaf(c.leaf)
		return
	}
	c.pid = got.PID
	closeAnswer(got)
	c.Kill()
}

// PID is the process id inside the sandbox.
func (c *command) PID() int { return c.pid }

// Wait waits for the command to end.
func (c *command) Wait(ctx context.Context) (ExitStatus, error) {
	select {
	case <-c.ended:
		return c.status, c.err
	default:
	}
	select {
	case <-c.ended:
		return c.status, c.err
	case <-ctx.Done():
		return ExitStatus{}, ctx.Err()
	}
}

// settle records how the command ended. It is called once.
func (c *command) settle(status ExitStatus, err error) {
	c.status, c.err = status, err
	close(c.ended)
	if err == nil {
		c.box.releaseLeaf(c.leaf)
	}
}

// Kill kills the command and all its descendants.
func (c *command) Kill() error {
	if c.leaf != "" {
		return killLeaf(c.leaf)
	}
	ctx, cancel := context.WithTimeout(context.Background(), sendTimeout)
	defer cancel()
	req := &sandboxagent.Request{Kill: &sandboxagent.Kill{Exec: c.id, PID: c.pid, Cookie: c.cookie}}
	_, err := c.box.control.do(ctx, &call{undo: func(answer) {}}, nil, req, nil)
	if errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}

// enterLeaf makes the command's cgroup.
func (c *command) enterLeaf() (*os.File, error) {
	name := "c" + strconv.FormatUint(c.box.leaves.Add(1), 10)
	leaf, err := c.box.cgroup.leaf(name)
	if err != nil {
		return nil, err
	}
	c.leaf = filepath.Join(c.box.cgroup.dir, name)
	return leaf, nil
}

// maxSweep bounds how many cgroups are looked at when a command ends.
const maxSweep = 4

// releaseLeaf removes the cgroup of an ended command. One that still has
// processes is kept, and tried again when other commands end.
func (s *sandbox) releaseLeaf(leaf string) {
	if leaf == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = append([]string{leaf}, s.busy...)
	sweep := s.busy[:min(maxSweep, len(s.busy))]
	rest := s.busy[len(sweep):]
	for _, dir := range sweep {
		if unix.Rmdir(dir) == unix.EBUSY {
			rest = append(rest, dir)
		}
	}
	s.busy = rest
}
