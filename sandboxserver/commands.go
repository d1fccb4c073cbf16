package sandboxserver

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/langsandbox/sandbox-go/internal/runtime"
	"github.com/langsandbox/sandbox-go/internal/session"
)

// outputBudget bounds the disk space for output that nobody reads, in bytes.
const outputBudget = 4 << 30

// newCommands returns the sessions of a sandbox that has started. mu is held
// and the engine is open.
func (e *engine) newCommands(b *box) *session.Store {
	sb := b.sb
	commands := session.NewStore(b.run, session.Options{
		Start: func(ctx context.Context, spec session.Spec) (*session.Running, error) {
			cmd, user := e.prepared(b, spec)
			if err := e.asUser(ctx, sb, user, &cmd); err != nil {
				return nil, err
			}
			running, err := startStreams(ctx, sb, cmd)
			if err != nil {
				return nil, err
			}
			running.Ended = e.hold(b)
			return running, nil
		},
		Budget: e.output,
		Dir:    e.dir,
	})
	run := b.run
	e.tasks.Go(func() {
		<-run.Done()
		commands.Close()
	})
	return commands
}

// hold keeps a sandbox from being idle until release is called.
func (e *engine) hold(b *box) (release func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	b.busy++
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		b.busy--
		b.active = time.Now()
	}
}

// startStreams starts a command whose streams are this server's.
func startStreams(ctx context.Context, sb runtime.Sandbox, cmd runtime.Command) (*session.Running, error) {
	if cmd.TTY != nil {
		return startTerminal(ctx, sb, cmd)
	}
	var ours [3]*os.File
	var theirs [3]*os.File
	var err error
	for i, pipe := range []func() (*os.File, *os.File, error){runtime.InputPipe, runtime.OutputPipe, runtime.OutputPipe} {
		if ours[i], theirs[i], err = pipe(); err != nil {
			closeFiles(ours[:i], theirs[:i])
			return nil, internalError("no pipe for the command", err)
		}
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs[0], theirs[1], theirs[2]
	process, err := startShell(ctx, sb, cmd)
	closeFiles(theirs[:])
	if err != nil {
		closeFiles(ours[:])
		return nil, err
	}
	return &session.Running{Process: process, Stdin: ours[0], Stdout: ours[1], Stderr: ours[2]}, nil
}

func startTerminal(ctx context.Context, sb runtime.Sandbox, cmd runtime.Command) (*session.Running, error) {
	process, err := startShell(ctx, sb, cmd)
	if err != nil {
		return nil, err
	}
	p, ok := process.(runtime.TerminalProcess)
	if !ok {
		abandon(process) //nolint:contextcheck // the request may be over
		return nil, problem(http.StatusBadRequest, codeCommand, "this server has no terminals")
	}
	term := p.Terminal()
	return &session.Running{
		Process: process, Stdin: keyboard{term}, Stdout: term,
		Resize: func(cols, rows int) error {
			return p.Resize(runtime.WindowSize{Cols: uint16(cols), Rows: uint16(rows)}) //nolint:gosec // checked
		},
	}, nil
}

// abandon ends a command that is of no use.
func abandon(p runtime.Process) {
	if p.Kill() != nil {
		return // the sandbox is gone, and the command with it
	}
	ctx, cancel := context.WithTimeout(context.Background(), killGrace)
	defer cancel()
	_, _ = p.Wait(ctx)
}

// keyboard is the writing side of a terminal. Closing it breaks off what is
// being written; the terminal is closed by who reads from it.
type keyboard struct{ *os.File }

func (k keyboard) Close() error { return k.SetWriteDeadline(time.Unix(1, 0)) }

func closeFiles(lists ...[]*os.File) {
	for _, files := range lists {
		for _, f := range files {
			_ = f.Close()
		}
	}
}

// startShell starts a command whose first argument is a shell. The default
// shell is not everywhere, so that it stands for any; one that was asked for
// does not.
func startShell(ctx context.Context, sb runtime.Sandbox, cmd runtime.Command) (runtime.Process, error) {
	cmd.Args = slices.Clone(cmd.Args)
	shell := cmd.Args[0]
	shells := []string{shell}
	if shell == defaultShell {
		shells = append(shells, fallbackShell)
	}
	var err error
	for _, cmd.Args[0] = range shells {
		var process runtime.Process
		process, err = sb.Start(ctx, cmd)
		if err == nil {
			return process, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || isChdir(err) {
			break
		}
	}
	return nil, commandProblem(ctx, err, shell, cmd.Dir)
}
