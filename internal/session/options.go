package session

import (
	"cmp"
	"context"
	"errors"
	"io"
	"time"

	"github.com/langsandbox/sandbox-go/internal/runtime"
)

var (
	// ErrNotFound reports an id that no command has had.
	ErrNotFound = errors.New("command not found")
	// ErrExpired reports a command whose result is kept no longer.
	ErrExpired = errors.New("the command has ended, and its result is kept no longer")
	// ErrClosed reports a sandbox that has ended, and its commands with it.
	ErrClosed = errors.New("the sandbox has ended")
	// ErrDetached reports the use of an attachment that has ended.
	ErrDetached = errors.New("detached from the command")
	// ErrTooMany reports a sandbox with as many commands as it may have.
	ErrTooMany = errors.New("too many commands run in this sandbox")
)

// Options are what the commands of a store have in common. Zero values stand
// for the defaults.
type Options struct {
	// Start starts a command. The context bounds the start only.
	Start func(context.Context, Spec) (*Running, error)
	// StartTimeout bounds a start; 0 means 30 seconds.
	StartTimeout time.Duration

	// Buffer is what each stream keeps in memory, in bytes; 0 means 2 MiB.
	Buffer int
	// Window is how many bytes an attachment is given that it has not
	// acknowledged, of both streams together; 0 means half of Buffer. It must
	// not exceed Buffer.
	Window int
	// Chunk is the longest chunk an attachment is given, in bytes; 0 means
	// 32 KiB.
	Chunk int
	// Spill is what each stream keeps in a file, in bytes; 0 means 64 MiB,
	// less than 0 nothing.
	Spill int64
	// Budget bounds the files of all commands; nil means 1 GiB for this store.
	Budget *Budget
	// Dir is where those files are; empty means the system's directory for
	// temporary files.
	Dir string
	// Input is how much input waits for a command that does not read it, in
	// bytes; 0 means 1 MiB.
	Input int

	// Stall is how long an attachment may leave chunks unacknowledged before
	// the command stops to wait for it; 0 means 15 seconds.
	Stall time.Duration
	// Patience is how long a command waits for somebody to read, when nothing
	// more can be kept; 0 means 5 minutes.
	Patience time.Duration
	// Drain is how long output may pause, after a command has ended, before
	// what still holds it open counts as a background process; 0 means 100 ms.
	// Output that does not pause counts as that after five times as long.
	Drain time.Duration

	// Running bounds the commands at once, 0 means 4096; Kept bounds those
	// whose result is kept, 0 means 4096. Beyond that the oldest goes first.
	Running, Kept int
}

const (
	defaultBuffer   = 2 << 20
	defaultChunk    = 32 << 10
	defaultSpill    = 64 << 20
	defaultBudget   = 1 << 30
	defaultInput    = 1 << 20
	defaultCommands = 4096
)

func (o Options) withDefaults() Options {
	o.StartTimeout = cmp.Or(o.StartTimeout, 30*time.Second)
	o.Buffer = cmp.Or(o.Buffer, defaultBuffer)
	o.Window = min(cmp.Or(o.Window, o.Buffer/2), o.Buffer)
	o.Chunk = cmp.Or(o.Chunk, defaultChunk)
	o.Spill = max(cmp.Or(o.Spill, defaultSpill), 0)
	o.Input = cmp.Or(o.Input, defaultInput)
	o.Stall = cmp.Or(o.Stall, 15*time.Second)
	o.Patience = cmp.Or(o.Patience, 5*time.Minute)
	o.Drain = cmp.Or(o.Drain, 100*time.Millisecond)
	o.Running = cmp.Or(o.Running, defaultCommands)
	o.Kept = cmp.Or(o.Kept, defaultCommands)
	if o.Budget == nil {
		o.Budget = NewBudget(defaultBudget)
	}
	return o
}

// Never is a time that does not come.
const Never time.Duration = -1

// Spec says what to run and for how long.
type Spec struct {
	// ID is the command's id, chosen by the client.
	ID string
	// Command says what to run; its files are not used.
	Command runtime.Command
	// User names who runs it, for Options.Start to find; empty is nobody in
	// particular.
	User string
	// Timeout is when the command is killed; 0 or Never is not at all.
	Timeout time.Duration
	// Idle is how long the command runs without an attachment.
	Idle time.Duration
	// Keep is how long its result is kept after it has ended; 0 is as long as
	// somebody is attached.
	Keep time.Duration
	// KillOnDisconnect kills it when the last attachment leaves.
	KillOnDisconnect bool
	// CloseInput ends its standard input at once. A terminal's is not ended.
	CloseInput bool
}

// Process is a started command; runtime.Process is one.
type Process interface {
	PID() int
	Kill() error
	Wait(ctx context.Context) (runtime.ExitStatus, error)
}

// Output is the end of a pipe that a command writes to.
type Output interface {
	io.ReadCloser
	SetReadDeadline(time.Time) error
}

// Running is a started command with the ends of its streams, which the session
// closes. Close must break off a Read or Write that waits.
type Running struct {
	Process Process
	Stdin   io.WriteCloser
	Stdout  Output
	Stderr  Output // nil with a terminal, where all is Stdout
	// Resize changes the size of the terminal; nil without one.
	Resize func(cols, rows int) error
	// Ended, if set, is called once when the command has ended.
	Ended func()
}

// Stream tells the two outputs of a command apart.
type Stream int

const (
	// Stdout is standard output, or a terminal.
	Stdout Stream = iota
	// Stderr is standard error.
	Stderr
	streams
)

// Outcome is how a command ended.
type Outcome struct {
	// Code is its exit code, if Err is nil.
	Code int
	// Err is ErrTimeout, ErrClosed, or what the runtime could not find out.
	Err error
}

// ErrTimeout reports a command that was killed because its time was over.
var ErrTimeout = errors.New("the command was killed because its time was over")
