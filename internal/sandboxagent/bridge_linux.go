package sandboxagent

import (
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent/terminal"
)

// Connect connects the socket passed along with a port of the loopback.
type Connect struct {
	Address string `json:"address"` // host:port
}

// Listen listens on a free port of the loopback, which is the reply's PID.
type Listen struct {
	Close int `json:"close,omitempty"` // a port to close instead
}

// Accept waits for a connection to a port that Listen gave, and connects the
// socket passed along with it.
type Accept struct {
	Port int `json:"port"`
}

// Resize changes the size of the terminal of a command.
type Resize struct {
	Exec uint64        `json:"exec"`
	Size terminal.Size `json:"size"`
}

// guestState is what a guest has besides commands.
type guestState struct {
	mu        sync.Mutex
	listeners map[int]net.Listener
	terminals map[uint64]*os.File // masters
}

// lend takes the one descriptor of a request over.
func lend(fds []int) (*net.UnixConn, error) {
	if len(fds) != 1 {
		return nil, unix.EBADF
	}
	fd, err := unix.FcntlInt(uintptr(fds[0]), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "peer")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	peer, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(unix.EPROTOTYPE, conn.Close())
	}
	return peer, nil
}

func (a *agent) answer(id uint64, op string, err error) {
	reply := &Reply{ID: id}
	if err != nil {
		reply.Error = fail(op, "", err)
	}
	a.send(reply)
}

func (a *agent) connect(req *Request, fds []int) {
	peer, err := lend(fds)
	if err != nil {
		a.answer(req.ID, "connect", err)
		return
	}
	go func() {
		conn, err := net.Dial("tcp", req.Connect.Address) //nolint:noctx // ends with the sandbox
		a.answer(req.ID, "connect", err)
		if err != nil {
			peer.Close()
			return
		}
		join(peer, conn)
	}()
}

func (a *agent) listen(req *Request) {
	s := &a.state
	s.mu.Lock()
	defer s.mu.Unlock()
	if port := req.Listen.Close; port != 0 {
		if l := s.listeners[port]; l != nil {
			l.Close()
			delete(s.listeners, port)
		}
		a.answer(req.ID, "close", nil)
		return
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0") //nolint:noctx // ends with the sandbox
	if err != nil {
		a.answer(req.ID, "listen", err)
		return
	}
	_, text, _ := net.SplitHostPort(l.Addr().String())
	port, _ := strconv.Atoi(text)
	if s.listeners == nil {
		s.listeners = make(map[int]net.Listener)
	}
	s.listeners[port] = l
	a.send(&Reply{ID: req.ID, PID: port})
}

func (a *agent) accept(req *Request, fds []int) {
	a.state.mu.Lock()
	l := a.state.listeners[req.Accept.Port]
	a.state.mu.Unlock()
	peer, err := lend(fds)
	if err == nil && l == nil {
		err = errors.Join(net.ErrClosed, peer.Close())
	}
	if err != nil {
		a.answer(req.ID, "accept", err)
		return
	}
	go func() {
		conn, err := l.Accept()
		a.answer(req.ID, "accept", err)
		if err != nil {
			peer.Close()
			return
		}
		join(peer, conn)
	}()
}

type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// join carries bytes both ways until both are at their end.
func join(a, b net.Conn) {
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		both.Go(func() {
			_, err := io.Copy(way[0], way[1])
			to, ok := way[0].(halfCloser)
			if err != nil || !ok || to.CloseWrite() != nil {
				a.Close()
				b.Close()
			}
		})
	}
	both.Wait()
	a.Close()
	b.Close()
}

// startTerminal starts a command in a terminal whose bytes go through the
// socket passed along.
func (a *agent) startTerminal(req *Request, fds []int) {
	peer, err := lend(fds)
	if err != nil {
		a.answer(req.ID, "terminal", err)
		return
	}
	master, slave, err := terminal.Open(*req.Exec.TTY)
	if err != nil {
		peer.Close()
		a.answer(req.ID, "terminal", err)
		return
	}
	defer unix.Close(slave)
	req.Exec.FDs = HasStdin | HasStdout | HasStderr
	reply := a.exec(req, []int{slave, slave, slave})
	if reply.Error != nil {
		unix.Close(master)
		peer.Close()
		a.send(reply)
		return
	}
	term := os.NewFile(uintptr(master), "terminal")
	a.state.mu.Lock()
	if a.state.terminals == nil {
		a.state.terminals = make(map[uint64]*os.File)
	}
	a.state.terminals[req.ID] = term
	a.state.mu.Unlock()
	a.send(reply)
	go a.carry(req.ID, term, peer)
}

// carry joins a terminal with its socket, until nobody has either any more.
func (a *agent) carry(id uint64, term *os.File, peer *net.UnixConn) {
	go func() {
		_, _ = io.Copy(term, peer)
		a.hangUp(id, term) // whoever typed is gone
	}()
	_, _ = io.Copy(peer, term) // to EIO, when no process has it
	peer.Close()
	a.hangUp(id, term)
}

func (a *agent) hangUp(id uint64, term *os.File) {
	a.state.mu.Lock()
	defer a.state.mu.Unlock()
	if a.state.terminals[id] == term {
		delete(a.state.terminals, id)
		term.Close()
	}
}

func (a *agent) resize(req *Request) {
	a.state.mu.Lock()
	defer a.state.mu.Unlock()
	var err error
	if term := a.state.terminals[req.Resize.Exec]; term != nil {
		var raw syscall.RawConn
		if raw, err = term.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { err = terminal.SetSize(int(fd), req.Resize.Size) })
		}
	}
	a.answer(req.ID, "resize", err)
}
