//go:build unix

package runtime

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent/proctree"
)

// processCommand is a command of the process runtime.
type processCommand struct {
	box     *processBox
	process *os.Process
	cookie  string
	// terminal is the other side of the command's terminal, or nil.
	terminal *os.File
	ended    chan struct{}
	status   ExitStatus
	err      error

	// mu is held while the process is reaped, so that its number is not
	// another's while its group is signalled.
	mu       sync.Mutex
	reaped   bool
	leftover bool // its group had members when it ended
}

// Start starts a command.
func (b *processBox) Start(ctx context.Context, spec Command) (Process, error) {
	if b.launcher != nil {
		return b.launcher.Start(ctx, spec)
	}
	if len(spec.Args) == 0 {
		return nil, &fs.PathError{Op: "exec", Err: syscall.EINVAL}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if spec.User != nil {
		return nil, fmt.Errorf("%w: there are no users without isolation", ErrUnsupported)
	}
	if err := b.beginStart(); err != nil {
		return nil, err
	}
	defer b.starting.Done()
	if err := b.rt.guard.start(b.rt.cookie + "."); err != nil {
		b.rt.log.WarnContext(ctx, "commands will outlive a server that is killed", "error", err)
	}
	cmd := &processCommand{box: b, cookie: newCookie(b.cookie + "."), ended: make(chan struct{})}
	env := mergeEnv(b.baseEnv(), spec.Env, []string{cmd.cookie})
	dir := b.workDir(spec.Dir)
	if err := proctree.CheckDir(dir); err != nil {
		return nil, err
	}
	file, err := proctree.LookPath(spec.Args[0], dir, env)
	if err != nil {
		return nil, &fs.PathError{Op: "exec", Path: spec.Args[0], Err: err}
	}
	if err := cmd.start(file, dir, env, spec); err != nil {
		return nil, err
	}
	b.mu.Lock()
	b.commands[cmd] = true
	b.mu.Unlock()
	b.waiting.Go(cmd.wait)
	if spec.TTY != nil {
		return processTerminal{cmd}, nil
	}
	return cmd, nil
}

func (b *processBox) beginStart() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return ErrClosed
	}
	b.starting.Add(1)
	return nil
}

func (b *processBox) baseEnv() []string {
	path, user := os.Getenv("PATH"), os.Getenv("USER")
	if path == "" || b.launcher != nil { // behind a fence it may name what cannot be executed
		path = standardPath
	}
	if user == "" {
		user = strconv.Itoa(os.Getuid())
	}
	return append(baseEnv(path, b.Home(), user), "TMPDIR="+filepath.Join(b.dir, "tmp"))
}

// workDir is where a command runs: a directory of the sandbox, or else one of
// the host with that name.
func (b *processBox) workDir(dir string) string {
	if !filepath.IsAbs(dir) {
		return filepath.Join(b.Home(), dir)
	}
	if dir == b.dir || within(dir, b.dir) {
		return dir
	}
	own := filepath.Join(b.dir, dir)
	if info, err := os.Stat(own); err == nil && info.IsDir() {
		return own
	}
	return dir
}

func (c *processCommand) start(file, dir string, env []string, spec Command) error {
	files := spec.files()
	if spec.TTY != nil {
		slave, err := c.openTerminal(spec.terminal())
		if err != nil {
			return err
		}
		defer slave.Close()
		files = []*os.File{slave, slave, slave}
	}
	for i, f := range files {
		if f != nil {
			continue
		}
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer null.Close()
		files[i] = null
	}
	var err error
	c.process, err = os.StartProcess(file, spec.Args, &os.ProcAttr{
		Dir:   dir,
		Env:   env,
		Files: files,
		Sys:   &syscall.SysProcAttr{Setsid: true, Setctty: spec.TTY != nil},
	})
	if err != nil && c.terminal != nil {
		c.terminal.Close()
	}
	return err
}

// PID is the process id.
func (c *processCommand) PID() int { return c.process.Pid }

// Wait waits for the command to end.
func (c *processCommand) Wait(ctx context.Context) (ExitStatus, error) {
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

// wait reaps the command and records how it ended.
func (c *processCommand) wait() {
	state, err := c.reap()
	switch {
	case c.box.forget(c):
		c.err = ErrClosed
	case err != nil:
		c.err = err
	default:
		c.status.Code, c.status.Signal = proctree.ExitCode(state.Sys().(syscall.WaitStatus)) //nolint:errcheck // what it is on every unix
	}
	close(c.ended)
}

func (c *processCommand) reap() (*os.ProcessState, error) {
	if proctree.AwaitExit(c.process.Pid) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.reaped = true
		return c.process.Wait()
	}
	state, err := c.process.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reaped = true
	c.leftover = proctree.Outlives(c.process.Pid)
	return state, err
}

// forget drops a command that has ended, and reports whether the sandbox has
// ended before.
func (b *processBox) forget(c *processCommand) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !c.leftover {
		delete(b.commands, c)
	}
	return b.ended
}

// Kill kills the command and all its descendants.
func (c *processCommand) Kill() error {
	tree := proctree.Tree{Cookie: c.cookie, Signal: c.signalGroup}
	c.addTo(&tree)
	return tree.Kill()
}

// addTo adds the numbers to a tree that are the command's.
func (c *processCommand) addTo(tree *proctree.Tree) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pid := c.process.Pid
	if !c.reaped {
		tree.Leaders = append(tree.Leaders, pid)
	}
	if !c.reaped || c.leftover {
		tree.Sessions = append(tree.Sessions, pid)
	}
}

func (c *processCommand) signalGroup(sig syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.reaped {
		_ = proctree.SignalGroup(c.process.Pid, sig)
	}
}
