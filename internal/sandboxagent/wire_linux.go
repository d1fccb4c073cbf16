package sandboxagent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent/terminal"
)

const (
	// Name is argv[0] of a process that is to become an agent.
	Name = "sandbox-agent"
	// Marker is the environment entry that has to come with Name.
	Marker = "SANDBOX_AGENT=1"
	// ControlFD is the descriptor of the agent's end of the control socket.
	ControlFD = 3

	// MaxMessage bounds one message to the agent.
	MaxMessage = 64 << 10
	// MaxReply bounds one message from the agent.
	MaxReply = 16 << 10
	// MaxFDs bounds the descriptors of one message; the kernel's own limit
	// is a little higher.
	MaxFDs = 240

	// maxSpilled bounds a request that travels in a file.
	maxSpilled = 16 << 20
)

// Request is a message to the agent. Exactly one of the pointers is set.
type Request struct {
	ID    uint64 `json:"id"`
	Setup *Setup `json:"setup,omitempty"`
	Exec  *Exec  `json:"exec,omitempty"`
	Open  *Open  `json:"open,omitempty"`
	Kill  *Kill  `json:"kill,omitempty"`
	// Socket asks for a TCP socket in the sandbox's network.
	Socket *Socket `json:"socket,omitempty"`
	// These are for guests, whose descriptors stay with them.
	Connect *Connect `json:"connect,omitempty"`
	Listen  *Listen  `json:"listen,omitempty"`
	Accept  *Accept  `json:"accept,omitempty"`
	Resize  *Resize  `json:"resize,omitempty"`
	// Spilled says that the request is in the first descriptor passed along,
	// because it is larger than MaxMessage.
	Spilled bool `json:"spilled,omitempty"`
}

// Reply is a message from the agent. A request has one reply; a command that
// was started has a second one with Exit, which may overtake the first.
type Reply struct {
	ID    uint64 `json:"id"`
	Error *Error `json:"error,omitempty"`
	Ready *Ready `json:"ready,omitempty"`
	PID   int    `json:"pid,omitempty"`
	Exit  *Exit  `json:"exit,omitempty"`
}

// Setup tells the agent how to build the sandbox. It is the first request.
type Setup struct {
	Hostname string `json:"hostname"`
	Home     string `json:"home"`
	// HostNetwork is true when the agent was not given a network of its own.
	HostNetwork bool `json:"hostNetwork,omitempty"`
	// Outside are the inode numbers of the server's namespaces. The agent
	// refuses to work in any of them.
	Outside map[string]uint64 `json:"outside"`
	// Layer is the sandbox's directory: see LayerDirs.
	Layer Tree `json:"layer"`
	// Template is a root to put the sandbox's own over, if there is one yet. Then
	// the first of BaseUsr has the skeleton.
	Template Tree `json:"template"`
	// Image are the layers of an image, the lowest first, which the root is
	// made of in place of Usr and Template.
	Image []Tree `json:"image,omitempty"`
	// Base are layers between these and the sandbox's own, the lowest first, and
	// BaseUsr those over Usr: the files of a snapshot.
	Base    []Tree `json:"base,omitempty"`
	BaseUsr []Tree `json:"baseUsr,omitempty"`
	// Usr is the host's /usr.
	Usr Tree `json:"usr"`
	// Skeleton are directories below /usr that the sandbox's root owns, for
	// where the ids of the host's /usr cannot be mapped.
	Skeleton []string `json:"skeleton,omitempty"`
	Mounts   []Mount  `json:"mounts,omitempty"`
	Rlimits  Rlimits  `json:"rlimits,omitzero"`
	// Fence is set for an agent without namespaces, which uses Home and
	// HostNetwork besides.
	Fence *Fence `json:"fence,omitempty"`
}

// Fence is what commands may use where there are no namespaces.
type Fence struct {
	// Write and Read are directories of the host, besides the allow-listed
	// ones that commands may read.
	Write []string `json:"write"`
	Read  []string `json:"read,omitempty"`
}

// LayerDirs are the directories of a layer. Writable are the root and what is
// over /usr, each with one that overlayfs works in. The others are where the
// agent mounts what lies under them.
var LayerDirs = []string{"root", "root-work", "root-lower", "usr", "usr-work", "usr-lower"}

// Tree is a file tree of the host: a detached mount passed along, or a path
// that the agent can reach by itself.
type Tree struct {
	FD   int    `json:"fd,omitempty"` // number of the descriptor, from 1; 0 means none
	Path string `json:"path,omitempty"`
}

// Mount is a tree and where it goes.
type Mount struct {
	Tree     Tree   `json:"tree"`
	Target   string `json:"target"`
	ReadOnly bool   `json:"readOnly,omitempty"`
}

// Ready says how the sandbox was built.
type Ready struct {
	// Overlay is true when /usr is writable, in a layer of the sandbox's own.
	Overlay bool `json:"overlay,omitempty"`
	// HostProc is true when /proc is the host's, because the kernel refused a
	// new one.
	HostProc bool `json:"hostProc,omitempty"`
	// NestedUsers is true when commands can still create user namespaces.
	NestedUsers bool `json:"nestedUsers,omitempty"`
	// Filter is true when commands run under a system call filter.
	Filter bool `json:"filter,omitempty"`
	// Landlock is the version of the kernel's interface that fences commands
	// in, for an agent without namespaces.
	Landlock int `json:"landlock,omitempty"`
	// PIDMax is true when the kernel bounds the processes of all users of the
	// sandbox together, by the numbers it has for them.
	PIDMax bool `json:"pidMax,omitempty"`
}

// Exec starts a command. Its descriptors follow in the order stdin, stdout,
// stderr, cgroup, each only if its bit is set.
type Exec struct {
	Args []string `json:"args"`
	Env  []string `json:"env"`
	Dir  string   `json:"dir"`
	// User is who runs the command; nil is root.
	User *User `json:"user,omitempty"`
	FDs  uint8 `json:"fds,omitempty"`
	// TTY asks for a terminal in place of stdin, stdout and stderr. Its master
	// comes with the reply.
	TTY *terminal.Size `json:"tty,omitempty"`
}

// User is somebody in the sandbox.
type User struct {
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups,omitempty"`
}

// Bits of Exec.FDs.
const (
	HasStdin = 1 << iota
	HasStdout
	HasStderr
	HasCgroup
)

// Open opens a file, or a directory for reading.
type Open struct {
	Path []byte `json:"path"` // bytes, since names need not be text
	Flag int    `json:"flag"`
	Perm uint32 `json:"perm"`
	Dir  bool   `json:"dir,omitempty"`
}

// Socket makes a TCP socket. The server connects it: a socket stays in the
// network it was made in.
type Socket struct {
	IPv6 bool `json:"ipv6,omitempty"`
}

// Kill kills a command with all its descendants.
type Kill struct {
	Exec   uint64 `json:"exec"` // the request that started it
	PID    int    `json:"pid"`
	Cookie string `json:"cookie"`
}

// Exit is how a command ended.
type Exit struct {
	Code   int `json:"code"`
	Signal int `json:"signal,omitempty"`
}

// Error is a failed request.
type Error struct {
	Op    string     `json:"op"`
	Path  string     `json:"path,omitempty"`
	Errno unix.Errno `json:"errno,omitempty"`
	Text  string     `json:"text,omitempty"`
}

// Error returns the step and its cause.
func (e *Error) Error() string {
	s := e.Op
	if e.Path != "" {
		s += " " + e.Path
	}
	if e.Text != "" {
		return s + ": " + e.Text
	}
	return s + ": " + e.Errno.Error()
}

// Unwrap returns the errno, if there was one.
func (e *Error) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

// fail describes err as the failure of a step.
func fail(op, path string, err error) *Error {
	e := &Error{Op: op, Path: path}
	if !errors.As(err, &e.Errno) {
		e.Text = err.Error()
	}
	return e
}

// Encode returns the message for a request and its descriptors. A request
// too large for one message goes into a file; release closes it.
func Encode(req *Request, fds []int) (data []byte, all []int, release func(), err error) {
	release = func() {}
	data, err = json.Marshal(req)
	if err != nil || len(data) <= MaxMessage {
		return data, fds, release, err
	}
	if len(data) > maxSpilled {
		return nil, nil, release, unix.E2BIG
	}
	file, err := spill(data)
	if err != nil {
		return nil, nil, release, err
	}
	data, err = json.Marshal(&Request{ID: req.ID, Spilled: true})
	all = append([]int{int(file.Fd())}, fds...)
	return data, all, func() { file.Close() }, err
}

func spill(data []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("request", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	file := os.NewFile(uintptr(fd), "request")
	if _, err := file.Write(data); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// decode is the other side of Encode.
func decode(data []byte, fds []int) (*Request, []int, error) {
	req := new(Request)
	if err := json.Unmarshal(data, req); err != nil {
		return nil, fds, err
	}
	if !req.Spilled {
		return req, fds, nil
	}
	if len(fds) == 0 {
		return nil, fds, errors.New("spilled request without its file")
	}
	file := os.NewFile(uintptr(fds[0]), "request")
	defer file.Close()
	data, err := io.ReadAll(io.NewSectionReader(file, 0, maxSpilled))
	if err != nil {
		return nil, fds[1:], err
	}
	req = new(Request)
	return req, fds[1:], json.Unmarshal(data, req)
}

// ErrMessage reports a message that does not fit its bounds.
var ErrMessage = errors.New("malformed control message")

// Receive reads one message. The descriptors are close-on-exec and belong to
// the caller, also when there is an error. The end of the socket is io.EOF.
func Receive(fd int, buf, oob []byte, flags int) (n int, fds []int, err error) {
	n, oobn, got, _, err := unix.Recvmsg(fd, buf, oob, flags|unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return 0, nil, err
	}
	fds, err = parseRights(oob[:oobn])
	switch {
	case err != nil:
		return 0, fds, err
	case got&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
		return 0, fds, ErrMessage
	case n == 0:
		return 0, fds, io.EOF
	}
	return n, fds, nil
}

func parseRights(oob []byte) ([]int, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, ErrMessage
	}
	var fds []int
	for i := range messages {
		got, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return fds, ErrMessage
		}
		fds = append(fds, got...)
	}
	return fds, nil
}

// CloseAll closes descriptors.
func CloseAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
