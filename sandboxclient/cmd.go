package sandboxclient

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/wire"
)

// Cmd says what to run and how. It holds no state of a running command and can
// be started any number of times; it must not be changed while it is being
// started. [Sandbox.Command] and [Sandbox.Shell] make one.
type Cmd struct {
	// Dir is the working directory; empty is the sandbox's own.
	Dir string
	// ShellPath is the shell that runs the command line; empty is /bin/bash.
	ShellPath string
	// Env is added to the environment of the sandbox.
	Env map[string]string
	// Stdin is copied to standard input, as UTF-8 text. nil is the end of the
	// file at once. A Read that blocks outlives the command.
	Stdin io.Reader
	// OpenStdin leaves standard input to [Process.Write]; it excludes Stdin.
	OpenStdin bool
	// Stdout and Stderr take the output, each from one goroutine, one for both
	// if they are the same; nil discards it. A slow writer holds up the
	// command, a writer that fails has it killed.
	Stdout, Stderr io.Writer
	// TTY gives the command a terminal of that size, all of whose output is
	// Stdout; nil is none.
	TTY *WindowSize
	// ID names the command. A command of that name that the sandbox has
	// already is not started again but joined, from the beginning of its
	// output. Empty is a new name each time.
	ID string
	// Timeout, in whole seconds, rounded up, is when the sandbox kills the
	// command. 0 is as long as the context allows, 60 seconds without a
	// deadline; negative is never.
	Timeout time.Duration
	// IdleTimeout, in whole seconds, rounded up, is how long the command lives
	// while no client is connected. 0 is 5 minutes; negative is for ever.
	IdleTimeout time.Duration
	// KeepResult, in whole seconds, rounded up, is how long a command that has
	// ended can be attached to. 0 is 10 minutes; negative is for ever.
	KeepResult time.Duration
	// KillOnDisconnect has the sandbox kill the command when the last client
	// is gone, also when its connection is lost.
	KillOnDisconnect bool
	// WaitDelay is how long, after a kill or the end of the context, the
	// command and its writers may take to end; 0 is 10 seconds.
	WaitDelay time.Duration
	// MaxOutput bounds what [Cmd.Output] and [Cmd.CombinedOutput] hold, in
	// bytes; 0 is 64 MiB. More is [ErrTooLarge], and the command is killed.
	MaxOutput int64

	sandbox *Sandbox
	line    string
}

const (
	defaultIdleTimeout = 300 * time.Second
	defaultKeepResult  = 600 * time.Second
	defaultWaitDelay   = 10 * time.Second
)

// Command is a command that runs a program with arguments, each of which
// arrives as it is, whatever it holds: they are quoted for a POSIX shell.
func (s *Sandbox) Command(name string, args ...string) *Cmd {
	c := &Cmd{sandbox: s, line: quoteCommand(name, args)}
	if name == "" {
		c.line = ""
	}
	return c
}

// Shell is a command that runs a script in the shell, as it is. An empty one
// with a TTY is the shell itself.
func (s *Sandbox) Shell(script string) *Cmd { return &Cmd{sandbox: s, line: script} }

// Run starts the command and waits for it; see [Process.Wait].
func (c *Cmd) Run(ctx context.Context) error {
	if err := c.unattended(); err != nil {
		return err
	}
	p, err := c.Start(ctx)
	if err != nil {
		return err
	}
	return p.Wait()
}

// Output runs the command and returns its standard output. Stdout must be nil.
// If Stderr is nil, an [ExitError] has the end of the standard error. With an
// error, the output is what was received.
func (c *Cmd) Output(ctx context.Context) ([]byte, error) {
	if err := c.unattended(c.Stdout); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	p, err := c.start(ctx, func(p *Process) sink {
		return &split{collector: collector{stdout: &out, limit: c.limit()}, rest: p.writers(nil, c.Stderr, p.stop)}
	})
	if err == nil {
		err = p.Wait()
	}
	return out.Bytes(), err
}

// CombinedOutput runs the command and returns its standard output and standard
// error, in the order of their arrival. Stdout and Stderr must be nil. With an
// error, the output is what was received.
func (c *Cmd) CombinedOutput(ctx context.Context) ([]byte, error) {
	if err := c.unattended(c.Stdout, c.Stderr); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	p, err := c.start(ctx, func(*Process) sink {
		return &collector{stdout: &out, stderr: &out, limit: c.limit()}
	})
	if err == nil {
		err = p.Wait()
	}
	return out.Bytes(), err
}

// Start starts the command (WebSocket /execute/ws) and returns when it runs.
// The command starts once, however often a connection is lost on the way, since
// it has a name that the sandbox knows it by.
//
// The context bounds the command: when it ends the command is killed, and Wait
// returns its error. See [Process.Detach] and context.WithoutCancel for a
// command that is to run on.
//
// Errors: [ErrInvalid], [ErrNoDataplane], [ErrConnection] when the sandbox is
// out of reach, [DisconnectError] when a connection was lost and it is not
// known whether the command runs, [CommandError] when the sandbox refuses.
func (c *Cmd) Start(ctx context.Context) (*Process, error) {
	return c.start(ctx, func(p *Process) sink { return p.writers(c.Stdout, c.Stderr, p.stop) })
}

// unattended refuses what is of no use to a method that waits for the end: input
// by a Process that nobody has, and writers in the place of its own.
func (c *Cmd) unattended(writers ...io.Writer) error {
	if c.OpenStdin {
		return c.invalid("OpenStdin", "needs Start, whose Process can be written to")
	}
	for _, w := range writers {
		if w != nil {
			return c.invalid("Stdout or Stderr", "is set, and this method has its own use for it")
		}
	}
	return nil
}

const opCommand = "run command in sandbox"

// start starts the command with a sink for its output.
func (c *Cmd) start(ctx context.Context, output func(*Process) sink) (*Process, error) {
	op := operation{name: opCommand, effect: true}
	if err := c.check(op.name); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", op.name, contextError(ctx))
	}
	d, err := c.sandbox.dialer(ctx, op, commandStream)
	if err != nil {
		return nil, err
	}
	frame := c.frame(ctx)
	first, err := wire.Encode(frame)
	if err != nil {
		return nil, c.invalid("command", "cannot be sent: "+err.Error())
	}
	p := newProcess(d, frame.CommandID, orDefault(c.WaitDelay, defaultWaitDelay))
	p.first, p.timeout = first, time.Duration(*frame.TimeoutSeconds)*time.Second
	p.pace = starting(p.policy)
	p.stdin.open, p.feeding = c.OpenStdin, c.Stdin != nil
	p.terminal(c.TTY)
	p.deliver(output(p))
	p.unwatch = context.AfterFunc(ctx, func() { p.stop(contextError(ctx)) })
	go p.supervise() //nolint:contextcheck // the process outlives the call
	if err := p.await(); err != nil {
		return nil, err
	}
	if c.Stdin != nil {
		go p.feed(c.Stdin) //nolint:contextcheck // as above
	}
	return p, nil
}

// terminal gives the command a terminal of a size, or none.
func (p *Process) terminal(size *WindowSize) {
	if size != nil {
		own := *size
		p.stdin.terminal, p.size = true, &own
	}
}

func newProcess(d *dialer, id string, waitDelay time.Duration) *Process {
	p := &Process{
		dialer: d, policy: d.policy, waitDelay: waitDelay, id: id, exitCode: -1,
		known: make(chan struct{}), done: make(chan struct{}),
	}
	p.changed.L = &p.mu
	p.ctx, p.quit = context.WithCancelCause(context.Background())
	p.delivery, p.abandon = context.WithCancel(context.Background())
	return p
}

// await waits until the sandbox has the command, or has not.
func (p *Process) await() error {
	select {
	case <-p.known:
		return nil
	case <-p.done:
	}
	select {
	case <-p.known:
		return nil
	default:
		return p.err
	}
}

// frame is the frame that starts the command.
func (c *Cmd) frame(ctx context.Context) gen.ExecuteFrame {
	timeout, idle, keep := c.timeout(ctx), lifetime(c.IdleTimeout, defaultIdleTimeout), lifetime(c.KeepResult, defaultKeepResult)
	kill := c.KillOnDisconnect
	f := gen.ExecuteFrame{
		Type:               gen.FrameExecute,
		Command:            c.line,
		CommandID:          c.ID,
		Shell:              c.ShellPath,
		Env:                maps.Clone(c.Env),
		Cwd:                c.Dir,
		Pty:                c.TTY != nil,
		CloseStdin:         c.TTY == nil && c.Stdin == nil && !c.OpenStdin,
		TimeoutSeconds:     &timeout,
		IdleTimeoutSeconds: &idle,
		TTLSeconds:         &keep,
		KillOnDisconnect:   &kill,
	}
	if f.CommandID == "" {
		f.CommandID = newID()
	}
	if f.Shell == "" {
		f.Shell = defaultShell
	}
	return f
}

// timeout is the deadline of the command in seconds, 0 for none.
func (c *Cmd) timeout(ctx context.Context) int {
	switch deadline, ok := ctx.Deadline(); {
	case c.Timeout < 0:
		return 0
	case c.Timeout > 0:
		return wholeSeconds(c.Timeout)
	case ok:
		return max(wholeSeconds(time.Until(deadline)), 1)
	default:
		return wholeSeconds(defaultCommandTimeout)
	}
}

// lifetime is a time in seconds, -1 for ever.
func lifetime(d, byDefault time.Duration) int {
	switch {
	case d < 0:
		return -1
	case d == 0:
		return wholeSeconds(byDefault)
	default:
		return wholeSeconds(d)
	}
}

func (c *Cmd) limit() int64 { return orDefault(c.MaxOutput, maxAnswer) }

func (c *Cmd) invalid(argument, reason string) error {
	return &ArgumentError{Op: opCommand, Argument: argument, Reason: reason}
}

func (c *Cmd) check(op string) error {
	ck := checks{op: op}
	if c.sandbox == nil {
		ck.fail("command", "has no sandbox; use Sandbox.Command or Sandbox.Shell")
	}
	if c.TTY == nil {
		ck.required("command", c.line)
	} else if err := c.TTY.check(op, "TTY"); ck.err == nil {
		ck.err = err
	}
	if c.Stdin != nil && c.OpenStdin {
		ck.fail("OpenStdin", "excludes Stdin")
	}
	ck.atLeastZero("WaitDelay", int64(c.WaitDelay))
	ck.atLeastZero("MaxOutput", c.MaxOutput)
	for name, text := range map[string]string{"command": c.line, "Dir": c.Dir, "ShellPath": c.ShellPath, "ID": c.ID} {
		ck.text(name, text)
	}
	for key, value := range c.Env {
		if key == "" || strings.Contains(key, "=") {
			ck.fail("environment variable", "is %q", key)
		}
		ck.text("environment variable", key)
		ck.text("environment variable "+key, value)
	}
	return ck.err
}

// text checks what travels as text and is then handed to the system.
func (c *checks) text(argument, s string) {
	if strings.ContainsRune(s, 0) {
		c.fail(argument, "holds a zero byte")
	}
	if !utf8.ValidString(s) {
		c.fail(argument, "is not UTF-8, which is all that can be sent")
	}
}

// newID is a new name for a command: a UUID of version 7, which begins with
// the time.
func newID() string { return uuid.Must(uuid.NewV7()).String() }
