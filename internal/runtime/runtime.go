// Package runtime starts and stops the sandboxes of the local server: a
// process tree, a file tree and a network of their own, as far as the host
// allows. The package knows nothing of the API; names, templates, timers and
// quotas belong to its caller.
package runtime

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
)

var (
	// ErrClosed reports a call on a closed runtime or sandbox, or one whose
	// processes were gone before the call was answered.
	ErrClosed = errors.New("sandbox is closed")
	// ErrNotAllowed reports an address outside the sandbox.
	ErrNotAllowed = errors.New("not an address of the sandbox's own")
	// ErrBoot reports an image that no sandbox could be made of.
	ErrBoot = errors.New("the image does not boot")
	// ErrNotFrozen reports a capture of a sandbox whose commands do not stand
	// still.
	ErrNotFrozen = errors.New("a command does not stand still, since it waits for a device")
	// ErrUnsupported reports a runtime this host cannot provide; the text
	// says which step of the probe failed.
	ErrUnsupported = errors.New("isolation is not available on this host")
)

// Config configures a Runtime.
type Config struct {
	// Dir holds the writable layers, one directory for each sandbox. The
	// runtime creates it and removes what it put there.
	Dir string
	// Isolation selects the runtime, as one of IsolationNative,
	// IsolationLandlock and IsolationProcess; empty means the strongest the
	// host allows.
	Isolation Isolation
	// Minimum is the weakest step that New accepts; empty is
	// IsolationLandlock, or Isolation if that is given.
	Minimum Isolation
	// Keep says, when the runtime opens and when it closes, which sandboxes'
	// files stay in Dir; those of others are removed. Nil keeps none. What it
	// answers must not wait for the runtime.
	Keep func(id string) bool
	// Spares is how many agents are started ahead of the sandboxes that take
	// them, once some have been created; 1.5 MiB each. Only native has them.
	Spares int
	// OCI names a program that makes containers, by path or as PATH has it:
	// sandboxes are in these then, with IsolationOCI if it is runsc (gVisor) and
	// IsolationContainer if it is crun or runc. Others are refused. Empty has
	// this package make sandboxes itself. Isolation has no effect.
	OCI string
	// Logger receives debug events, and warnings of files that could not be
	// removed; nil discards them.
	Logger *slog.Logger

	// evict ends what a killed runtime has left running, before its files go.
	evict func() error
}

// Runtime creates sandboxes. It is safe for concurrent use.
type Runtime interface {
	// Isolation reports what is in force.
	Isolation() Isolation
	// Create starts a sandbox, empty or with the files of a snapshot, and returns when it can run commands.
	// The context bounds the start only.
	Create(ctx context.Context, spec Spec) (Sandbox, error)
	// Reopen returns a stopped sandbox whose files an earlier runtime has kept
	// in the directory: it can be captured and closed, and started again by a
	// Create with the same spec. The error matches fs.ErrNotExist when there
	// are none, and fs.ErrExist when the sandbox is known already.
	Reopen(spec Spec) (Sandbox, error)
	// RemoveSnapshot removes what Capture made in a directory, and what a
	// capture that was broken off has left beside it. No sandbox can be made
	// of it any more; its files stay, and go with the last sandbox or snapshot
	// that lies over them: see Spec.Base. It is no error when there is nothing.
	RemoveSnapshot(dir string) error
	// Close closes every sandbox that is left and removes the runtime's files,
	// but those that are to be kept.
	Close() error
}

// Spec says what a sandbox is made of. It is not retained or modified.
type Spec struct {
	// ID names the sandbox's directory: 1 to 64 lower-case letters, digits
	// and hyphens, unique among the running sandboxes. The ID of a stopped
	// sandbox starts again with its files.
	ID string
	// Hostname is what the sandbox calls itself; empty means ID.
	Hostname string
	// Base is a directory that Capture made, whose files a new sandbox begins
	// with; empty begins with none. With Features.WritableUsr the sandbox lies
	// over them, if they come from such a runtime, and needs them as long as it
	// has files: RemoveSnapshot knows, nobody else may remove them. Otherwise
	// they are copied. The base never changes. A stopped sandbox that starts
	// again has what it had.
	Base string
	// Image is the root of the sandbox, in place of one over the host's /usr;
	// nil is the host's. A stopped sandbox that starts again, and one that
	// begins with a Base, need the image that they had.
	Image *ImageRoot
	// Mounts are host directories that the sandbox sees at paths of its own.
	Mounts []Mount
	// HostNetwork shares the host's network instead of an empty one that has
	// only its own loopback.
	HostNetwork bool
	// Limits are what all processes of the sandbox together may use, as far as
	// the host lets them be enforced: see Features.
	Limits Limits
}

// Limits bound what a sandbox uses; 0 is no limit. There is none for all of its
// files together, which take what the disk has: overlayfs knows no bound.
type Limits struct {
	// CPUMillicores is CPU time in thousandths of a core, 10 at least.
	CPUMillicores int64
	// MemoryBytes is memory, without swap, in bytes, 32 MiB at least. What
	// goes beyond has a command killed.
	MemoryBytes int64
	// PIDs is processes and threads, 32 at least. Where there are no cgroups,
	// it holds for each user of the sandbox, and for all of them together with
	// about 300 more.
	PIDs int64
	// FileBytes is the size of each file that commands write, in bytes, also in
	// mounts. A command that writes beyond gets SIGXFSZ, or EFBIG if it ignores
	// that. What is written by way of OpenFile is not bounded.
	FileBytes int64
}

// The agent needs some room itself.
const (
	minMemory = 32 << 20
	minPIDs   = 32
)

// ImageRoot is a root made of the layers of an image.
type ImageRoot struct {
	// Layers are directories on the host, the lowest first, in the form of
	// overlayfs with user attributes, and owned by the ids that ImageOwner
	// tells. They are shown under the sandbox's own files, do not change, and
	// have to stay until it has ended. Without isolation, or where there is
	// no overlayfs, they cannot be had, and Create fails with ErrUnsupported.
	Layers []string
	// UID, GID and Groups are who runs commands, in ids of the image. Where a
	// sandbox has one id only, that is root.
	UID, GID int
	Groups   []int
	// Home is the user's home directory, and User the name, if there is one.
	Home, User string
	// Env is added to the base environment.
	Env []string
	// Dir is where commands start, created if missing; empty means "/".
	Dir string
}

// Mount shows a host directory inside a sandbox.
type Mount struct {
	Source string // absolute, on the host; stays when the sandbox goes
	Target string // absolute and clean, in the sandbox; created if missing
	// ReadOnly keeps the sandbox from changing it. Without isolation that
	// cannot be had, and Create fails with ErrUnsupported.
	ReadOnly bool
}

// Sandbox is one running sandbox. It is safe for concurrent use.
type Sandbox interface {
	// Start starts a command and returns once it has been executed. A missing
	// program is an error matching fs.ErrNotExist, a file that is not
	// executable one matching fs.ErrPermission, and a missing directory an
	// *fs.PathError with Op "chdir". The context bounds the start only.
	Start(ctx context.Context, cmd Command) (Process, error)
	// OpenFile opens a path as seen from inside the sandbox, symbolic links
	// included, and creates missing parent directories when flag has
	// os.O_CREATE. Relative paths start at Home. Only regular files are
	// opened: anything else is an *fs.PathError (EISDIR for a directory,
	// EINVAL for the rest). The caller closes the file.
	OpenFile(ctx context.Context, name string, flag int, perm fs.FileMode) (*os.File, error)
	// OpenDir opens a directory for [ReadDir], as OpenFile does a file. What is
	// no directory is an *fs.PathError (ENOTDIR). The caller closes it, and
	// uses it for nothing else: names below it would be looked up on the host.
	OpenDir(ctx context.Context, name string) (*os.File, error)
	// Dial connects to what listens inside the sandbox, on its own loopback:
	// the network is "tcp", "tcp4" or "tcp6", the address a port on
	// localhost, on a loopback address or on no host at all, and nothing is
	// looked up. Errors are a *net.OpError around ErrNotAllowed for any other
	// address, syscall.ECONNREFUSED when nothing listens, what else the
	// sandbox's network says (syscall.EHOSTUNREACH and the like), ErrClosed,
	// or the context's. The caller closes the connection; whoever is at its
	// other end goes with the sandbox.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	// Listen listens on a free port of the sandbox's own loopback: what runs
	// in the sandbox can connect to it, and nothing else. Without isolation,
	// and with the host's network, the error is ErrUnsupported. The caller
	// closes the listener, which the end of the sandbox does not.
	Listen(ctx context.Context) (net.Listener, error)
	// Home is where commands start and relative paths begin, as seen from
	// inside: the home directory, or what the image says.
	Home() string
	// Capture copies the files that are the sandbox's own, and not the host's
	// or a mount's, and returns how much that is. It works on running and on
	// stopped sandboxes until they are closed, which breaks it off with
	// ErrClosed. With Features.KillCgroup commands stand still meanwhile, and go
	// on afterwards: all files are as at one moment, as if the power had failed
	// then. The error matches ErrNotFrozen when one does not. Otherwise commands
	// go on, each file is as it is when it is copied, and what commands move may
	// be missing. What is written by way of OpenFile goes on in any case. With
	// Features.WritableUsr only what the sandbox has changed of its Base is
	// copied if the Base is in the same directory as the new snapshot, which
	// needs it then as a sandbox does; the size is that of all files. Sockets,
	// devices, /etc/hostname and /etc/hosts are not captured. An error leaves
	// nothing; it matches ErrTooLarge when the files are beyond the limit.
	// With IsolationProcess, a file that the server may not read is one, too.
	Capture(ctx context.Context, spec CaptureSpec) (Captured, error)
	// Done is closed when the sandbox has ended, by Close or by itself.
	Done() <-chan struct{}
	// Stop kills every process of the sandbox, waits until they are gone and
	// keeps its writable files: a later Create with the same ID has them
	// again. It may be called more than once.
	Stop() error
	// Close is Stop, and removes the writable files unless a later Create has
	// taken them over. It may be called more than once.
	Close() error
}

// Command says what to run.
type Command struct {
	// Args is the program and its arguments. A program without a slash is
	// looked up in the PATH of Env, inside the sandbox.
	Args []string
	// Env is added to the sandbox's base environment (PATH, HOME, USER, LANG,
	// TERM); later entries win.
	Env []string
	// Dir is the working directory inside the sandbox; empty means Home,
	// relative paths start there.
	Dir string
	// User is who runs it; nil is the user of the image, or root.
	User *User
	// Stdin, Stdout and Stderr are handed to the command as they are; nil
	// means the null device. The caller keeps and closes its own ends. They
	// must be in blocking mode (see InputPipe and OutputPipe).
	Stdin, Stdout, Stderr *os.File
	// TTY gives the command a terminal of this size in place of Stdin, Stdout
	// and Stderr. The Process is a TerminalProcess then.
	TTY *WindowSize
}

// User is somebody in a sandbox, in ids of the sandbox: see Features.IDs. Only
// root is there in all of them.
type User struct {
	UID, GID int
	Groups   []int  // others than GID
	Name     string // USER of the environment; empty leaves it out
	Home     string // HOME; empty means "/"
}

// WindowSize is the size of a terminal, in characters.
type WindowSize struct {
	Cols, Rows uint16
}

// Process is a started command. It is safe for concurrent use.
type Process interface {
	// PID is the process id as seen from inside the sandbox.
	PID() int
	// Kill kills the command and all its descendants, also those that left
	// its process group, and returns when the signals are sent. Killing an
	// ended command is no error.
	Kill() error
	// Wait waits for the command itself to end, not for its descendants, and
	// reports how. It may be called more than once and at the same time.
	// The error is ErrClosed when the sandbox went away first, or the
	// context's.
	Wait(ctx context.Context) (ExitStatus, error)
}

// TerminalProcess is a command in a terminal.
type TerminalProcess interface {
	Process
	// Terminal is the other side of the terminal: what is written to it is
	// typed, what is read from it is printed. Reading fails with EIO or io.EOF
	// when no process has the terminal any more. The caller closes it, which hangs up.
	Terminal() *os.File
	// Resize changes its size, of which programs in it are told.
	Resize(size WindowSize) error
}

// ExitStatus is how a command ended.
type ExitStatus struct {
	// Code is the exit code, or 128 plus the signal number, as shells have it.
	Code int
	// Signal is the number of the signal that ended the command, or 0.
	Signal int
}
