package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
)

// sendTimeout bounds how long an agent may leave a request unread.
const sendTimeout = 10 * time.Second

// control is the server's end of the socket to an agent. What comes from
// there is not trusted: an agent that says anything but an answer to an open
// request is cut off.
type control struct {
	file   *os.File
	raw    syscall.RawConn
	sender chan struct{} // held by whoever sends

	mu      sync.Mutex
	closed  bool
	lastID  uint64
	calls   map[uint64]*call
	running map[uint64]*command
}

// call is a request that waits for its reply.
type call struct {
	reply chan answer
	// file says that the reply may bring a file.
	file bool
	// undo gets the reply when nobody waits for it any more.
	undo func(answer)
	// abandoned is set when the reply is undo's.
	abandoned bool
}

// answer is a reply with the file that may come with it.
type answer struct {
	*sandboxagent.Reply
	fd  int // or -1
	err error
}

// newControl returns the server's end and the agent's. The agent's end stays
// in blocking mode.
func newControl() (*control, *os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "control")
	if err := unix.SetNonblock(pair[0], true); err != nil {
		unix.Close(pair[0])
		return nil, nil, errors.Join(err, theirs.Close())
	}
	file := os.NewFile(uintptr(pair[0]), "control")
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, nil, errors.Join(err, file.Close(), theirs.Close())
	}
	return &control{
		file:    file,
		raw:     raw,
		sender:  make(chan struct{}, 1),
		calls:   make(map[uint64]*call),
		running: make(map[uint64]*command),
	}, theirs, nil
}

// do sends a request and waits for the reply. When the context ends first,
// the reply goes to the call's undo. A command is what the request starts.
func (c *control) do(ctx context.Context, open *call, cmd *command, req *sandboxagent.Request, fds []int) (answer, error) {
	open.reply = make(chan answer, 1)
	if err := c.begin(open, cmd, req); err != nil {
		return answer{}, err
	}
	if err := c.send(ctx, req, fds); err != nil {
		c.forget(req.ID)
		return answer{}, err
	}
	select {
	case got := <-open.reply:
		return got, got.failure()
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	open.abandoned = true
	select {
	case got := <-open.reply:
		go open.undo(got)
	default:
		open.reply = nil
	}
	return answer{}, ctx.Err()
}

// begin registers a request and gives it its number.
func (c *control) begin(open *call, cmd *command, req *sandboxagent.Request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	c.lastID++
	req.ID = c.lastID
	c.calls[req.ID] = open
	if cmd != nil {
		cmd.id = req.ID
		c.running[req.ID] = cmd
	}
	return nil
}

func (a answer) failure() error {
	if a.err != nil {
		return a.err
	}
	if a.Error != nil {
		return a.Error
	}
	return nil
}

// forget gives a request up that was not sent.
func (c *control) forget(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, id)
	delete(c.running, id)
}

func (c *control) send(ctx context.Context, req *sandboxagent.Request, fds []int) error {
	data, fds, release, err := sandboxagent.Encode(req, fds)
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	defer release()
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	select {
	case c.sender <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-c.sender }()
	// The wait has to end with the context, since it is the caller's.
	stop := context.AfterFunc(ctx, func() { _ = c.file.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	return c.write(ctx, data, oob)
}

func (c *control) write(ctx context.Context, data, oob []byte) error {
	deadline := time.Now().Add(sendTimeout)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		// Also clears what an earlier sender's context has left.
		if err := c.file.SetWriteDeadline(deadline); err != nil {
			return ErrClosed
		}
		var sent error
		err := c.raw.Write(func(fd uintptr) bool {
			_, sent = unix.SendmsgN(int(fd), data, oob, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
			return sent != unix.EAGAIN
		})
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(deadline):
			continue
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("request: the agent does not answer: %w", err)
		case err != nil || errors.Is(sent, unix.EPIPE) || errors.Is(sent, unix.ECONNRESET):
			return ErrClosed
		case sent != nil:
			return fmt.Errorf("request: %w", sent)
		}
		return nil
	}
}

// receive handles replies until the socket ends or the agent breaks the
// protocol.
func (c *control) receive() error {
	buf := make([]byte, sandboxagent.MaxReply)
	oob := make([]byte, unix.CmsgSpace(4))
	for {
		var n int
		var fds []int
		var got error
		err := c.raw.Read(func(fd uintptr) bool {
			n, fds, got = sandboxagent.Receive(int(fd), buf, oob, unix.MSG_DONTWAIT)
			return !errors.Is(got, unix.EAGAIN)
		})
		if err = errors.Join(err, got); err == nil {
			err = c.dispatch(buf[:n], fds)
		}
		if err != nil {
			sandboxagent.CloseAll(fds)
			return err
		}
	}
}

var errProtocol = errors.New("the agent broke the protocol")

// dispatch takes the descriptors over unless it returns an error.
func (c *control) dispatch(data []byte, fds []int) error {
	reply := new(sandboxagent.Reply)
	if err := json.Unmarshal(data, reply); err != nil {
		return fmt.Errorf("%w: %w", errProtocol, err)
	}
	if reply.Exit != nil {
		return c.exited(reply, len(fds))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	open, ok := c.calls[reply.ID]
	if !ok {
		return fmt.Errorf("%w: reply to no request", errProtocol)
	}
	if len(fds) > 1 || len(fds) == 1 && !open.file {
		return fmt.Errorf("%w: %d descriptors", errProtocol, len(fds))
	}
	delete(c.calls, reply.ID)
	if reply.Error != nil {
		delete(c.running, reply.ID)
	}
	got := answer{Reply: reply, fd: -1}
	if len(fds) == 1 {
		got.fd = fds[0]
	}
	if open.reply == nil {
		go open.undo(got)
	} else {
		open.reply <- got
	}
	return nil
}

func (c *control) exited(reply *sandboxagent.Reply, fds int) error {
	c.mu.Lock()
	cmd, ok := c.running[reply.ID]
	delete(c.running, reply.ID)
	c.mu.Unlock()
	if !ok || fds != 0 {
		return fmt.Errorf("%w: end of no command", errProtocol)
	}
	cmd.settle(ExitStatus{Code: reply.Exit.Code, Signal: reply.Exit.Signal}, nil)
	return nil
}

// shut closes the socket and answers everything that is open.
func (c *control) shut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.file.Close()
	for id, open := range c.calls {
		delete(c.calls, id)
		if open.reply != nil {
			open.reply <- answer{Reply: new(sandboxagent.Reply), fd: -1, err: ErrClosed}
		}
	}
	for id, cmd := range c.running {
		delete(c.running, id)
		cmd.settle(ExitStatus{}, ErrClosed)
	}
}
