package runtime

import (
	"context"
	"errors"
	"io/fs"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
)

// command is a command in a sandbox of the native runtime.
type command struct {
	box    *sandbox
	id     uint64
	pid    int
	cookie string

	leaf     *leaf // its cgroup, or nil
	ticket   uint64
	released sync.Once

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
	user, runner, err := s.runner(spec.User)
	if err != nil {
		return nil, err
	}
	cmd := &command{box: s, cookie: newCookie(""), ended: make(chan struct{})}
	env, dir := s.image.env(user), spec.Dir
	if s.fenced != nil {
		env, dir, cmd.cookie = s.fenced.place(dir)
	}
	exec := &sandboxagent.Exec{
		Args: spec.Args,
		Env:  mergeEnv(env, spec.Env, []string{cmd.cookie}),
		Dir:  dir,
		User: runner,
	}
	var fds []int
	for i, file := range spec.files() {
		if file != nil {
			exec.FDs |= sandboxagent.HasStdin << i
			fds = append(fds, int(file.Fd()))
			s.rt.ids.lend(int(file.Fd()), exec.User)
		}
	}
	if s.cgroup != nil {
		var err error
		if cmd.leaf, cmd.ticket, err = s.takeLeaf(ctx); err != nil {
			return nil, s.ended(err)
		}
		exec.FDs |= sandboxagent.HasCgroup
		fds = append(fds, int(cmd.leaf.dir.Fd()))
	}
	exec.TTY = spec.terminal()
	open := &call{undo: cmd.undo, file: exec.TTY != nil}
	got, err := s.control.do(ctx, open, cmd, &sandboxagent.Request{Exec: exec}, fds)
	if err != nil {
		closeAnswer(got)
		if !open.abandoned {
			cmd.release()
		}
		return nil, startError(err, spec)
	}
	cmd.pid = got.PID
	return cmd.started(got.fd, spec.TTY != nil) //nolint:contextcheck // the command outlives the call
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

func startError(err error, spec Command) error {
	var failed *sandboxagent.Error
	if !errors.As(err, &failed) {
		return err
	}
	path := failed.Path
	if path == "" {
		path = spec.Args[0]
	}
	return pathError(failed.Op, path, err)
}

// undo kills a command whose start was given up.
func (c *command) undo(got answer) {
	if got.failure() != nil {
		c.release()
		return
	}
	c.pid = got.PID
	closeAnswer(got)
	_ = c.Kill()
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
	c.release()
}

// release gives the cgroup back: when the command has ended, or it is certain
// that it has not started.
func (c *command) release() {
	if c.leaf != nil {
		c.released.Do(func() { c.box.leaves.release(c.leaf) })
	}
}

// Kill kills the command and all its descendants.
func (c *command) Kill() error {
	if c.leaf != nil {
		return c.leaf.kill(c.ticket)
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
