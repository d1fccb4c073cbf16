package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
)

// fakeAgent plays the agent of a sandbox that has none.
type fakeAgent struct {
	t    *testing.T
	fd   int
	box  *sandbox
	done chan error
}

func newFakeAgent(t *testing.T) *fakeAgent {
	t.Helper()
	noLeaks(t)
	control, theirs, err := newControl()
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeAgent{t: t, fd: int(theirs.Fd()), done: make(chan error, 1)}
	f.box = &sandbox{rt: &native{log: slog.New(slog.DiscardHandler)}, control: control, done: make(chan struct{})}
	go func() {
		err := control.receive()
		control.shut()
		f.done <- err
	}()
	t.Cleanup(func() { theirs.Close() })
	return f
}

// next returns the server's next request.
func (f *fakeAgent) next() *sandboxagent.Request {
	f.t.Helper()
	buf, oob := make([]byte, sandboxagent.MaxMessage), make([]byte, unix.CmsgSpace(4*sandboxagent.MaxFDs))
	n, fds, err := sandboxagent.Receive(f.fd, buf, oob, 0)
	sandboxagent.CloseAll(fds)
	if err != nil {
		f.t.Fatal(err)
	}
	req := new(sandboxagent.Request)
	if err := json.Unmarshal(buf[:n], req); err != nil {
		f.t.Fatal(err)
	}
	return req
}

func (f *fakeAgent) send(message string, fds ...int) {
	f.t.Helper()
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	if err := unix.Sendmsg(f.fd, []byte(message), oob, nil, 0); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fakeAgent) reply(reply *sandboxagent.Reply, fds ...int) {
	f.t.Helper()
	data, err := json.Marshal(reply)
	if err != nil {
		f.t.Fatal(err)
	}
	f.send(string(data), fds...)
}

func TestHostileReplies(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	fd := int(null.Fd())
	tests := []struct {
		name    string
		message string
		fds     []int
	}{
		{"no request", `{"id":7,"pid":3}`, nil},
		{"no command", `{"id":7,"exit":{"code":0}}`, nil},
		{"not json", `hello`, nil},
		{"too large", `{"id":1,"pid":` + strings.Repeat("1", sandboxagent.MaxReply) + `}`, nil},
		{"descriptor", `{"id":1,"pid":3}`, []int{fd}},
		{"descriptor without request", `{"id":9}`, []int{fd}},
		{"many descriptors", `{"id":1}`, []int{fd, fd, fd, fd}},
		{"exit with descriptor", `{"id":1,"exit":{"code":0}}`, []int{fd}},
		{"second exit", `{"id":1,"exit":{"code":0}}`, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFakeAgent(t)
			result := make(chan error, 1)
			go func() {
				_, err := f.box.Start(t.Context(), Command{Args: []string{"x"}})
				result <- err
			}()
			f.next()
			if test.name == "second exit" {
				f.reply(&sandboxagent.Reply{ID: 1, Exit: &sandboxagent.Exit{}})
			}
			f.send(test.message, test.fds...)
			if err := <-f.done; err == nil {
				t.Error("no error")
			}
			if err := <-result; !errors.Is(err, ErrClosed) {
				t.Errorf("start: %v", err)
			}
		})
	}
}

// TestHostileFiles gives the server files that it must not take.
func TestHostileFiles(t *testing.T) {
	dir, pipe := t.TempDir(), [2]int{}
	var plain string
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer sandboxagent.CloseAll(pipe[:])
	plain = dir + "/plain"
	if err := os.WriteFile(plain, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	open := func(name string, flags int) int {
		fd, err := unix.Open(name, flags|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	tests := map[string][]int{
		"directory":  {open(dir, unix.O_RDONLY)},
		"device":     {open("/dev/null", unix.O_RDONLY)},
		"pipe":       {pipe[0]},
		"proc":       {open("/proc/self/status", unix.O_RDONLY)},
		"path":       {open(plain, unix.O_PATH)},
		"wrong mode": {open(plain, unix.O_WRONLY)},
		"none":       nil,
	}
	for name, fds := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFakeAgent(t)
			result := make(chan error, 1)
			go func() {
				file, err := f.box.OpenFile(t.Context(), "x", os.O_RDONLY, 0)
				if err == nil {
					file.Close()
				}
				result <- err
			}()
			f.reply(&sandboxagent.Reply{ID: f.next().ID}, fds...)
			if err := <-result; err == nil {
				t.Error("accepted")
			}
			unix.Shutdown(f.fd, unix.SHUT_RDWR)
			<-f.done
		})
	}
}

// TestExitFirst has the end of a command overtake the news of its start.
func TestExitFirst(t *testing.T) {
	f := newFakeAgent(t)
	type result struct {
		Process
		error
	}
	started := make(chan result, 1)
	go func() {
		process, err := f.box.Start(t.Context(), Command{Args: []string{"x"}})
		started <- result{process, err}
	}()
	id := f.next().ID
	f.reply(&sandboxagent.Reply{ID: id, Exit: &sandboxagent.Exit{Code: 3}})
	f.reply(&sandboxagent.Reply{ID: id, PID: 9})
	got := <-started
	if got.error != nil || got.PID() != 9 {
		t.Fatalf("%+v", got)
	}
	if status, err := got.Wait(t.Context()); err != nil || status.Code != 3 {
		t.Errorf("%+v, %v", status, err)
	}
	unix.Shutdown(f.fd, unix.SHUT_RDWR)
	<-f.done
}

// TestAbandonedStart kills a command that starts after its caller has gone.
func TestAbandonedStart(t *testing.T) {
	f := newFakeAgent(t)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := f.box.Start(ctx, Command{Args: []string{"x"}})
		result <- err
	}()
	req := f.next()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	f.reply(&sandboxagent.Reply{ID: req.ID, PID: 9})
	kill := f.next()
	if kill.Kill == nil || kill.Kill.Exec != req.ID || kill.Kill.PID != 9 {
		t.Errorf("next request %+v", kill)
	}
	f.reply(&sandboxagent.Reply{ID: kill.ID})
	f.reply(&sandboxagent.Reply{ID: req.ID, Exit: &sandboxagent.Exit{Code: 137, Signal: 9}})
	unix.Shutdown(f.fd, unix.SHUT_RDWR)
	<-f.done
}

// TestAbandonedOpen closes a file that comes after its caller has gone.
func TestAbandonedOpen(t *testing.T) {
	f := newFakeAgent(t)
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := f.box.OpenFile(ctx, "x", os.O_RDWR, 0)
		result <- err
	}()
	req := f.next()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	f.reply(&sandboxagent.Reply{ID: req.ID}, int(file.Fd()))
	unix.Shutdown(f.fd, unix.SHUT_WR)
	<-f.done
}

// TestDeafAgent bounds sending to an agent that does not read.
func TestDeafAgent(t *testing.T) {
	f := newFakeAgent(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	env := []string{"X=" + strings.Repeat("x", sandboxagent.MaxMessage/2)}
	results := make(chan error)
	const senders = 64
	for range senders {
		go func() {
			_, err := f.box.Start(ctx, Command{Args: []string{"x"}, Env: env})
			results <- err
		}()
	}
	for range senders {
		if err := <-results; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	}
	unix.Shutdown(f.fd, unix.SHUT_RDWR)
	<-f.done
}

// FuzzReply has an agent say anything.
func FuzzReply(f *testing.F) {
	for _, seed := range []string{
		`{"id":1,"pid":3}`, `{"id":1,"error":{"op":"exec","errno":2}}`, `{"id":1,"exit":{"code":1,"signal":2}}`,
		`{"id":1,"ready":{"overlay":true}}`, `{}`, `null`, `[`, `{"id":-1}`, `{"id":1,"pid":"x"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cmd := &command{ended: make(chan struct{})}
		open := &call{reply: make(chan answer, 1)}
		c := &control{calls: map[uint64]*call{1: open}, running: map[uint64]*command{1: cmd}}
		for range 2 {
			if c.dispatch(data, nil) != nil {
				break
			}
		}
		select {
		case got := <-open.reply:
			if err := got.failure(); err != nil && err.Error() == "" {
				t.Error("an error without text")
			}
		default:
		}
	})
}
