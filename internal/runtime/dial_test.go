//go:build unix

package runtime

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func init() {
	helpers["echo"] = echoHelper
	helpers["deaf"] = deafHelper
}

const listenKey = "RUNTIME_TEST_LISTEN"

// echoHelper tells the port it listens on, and sends back what it gets.
func echoHelper() error {
	l, err := net.Listen("tcp", os.Getenv(listenKey))
	if err != nil {
		return err
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			_, _ = io.Copy(conn, conn)
		}()
	}
}

// deafHelper listens and accepts nothing, until nobody gets in any more.
func deafHelper() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		return err
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return err
	}
	address := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for err == nil { // until the queue of connections is full
		_, err = net.DialTimeout("tcp", address, time.Second)
	}
	fmt.Println(name.(*syscall.SockaddrInet4).Port)
	time.Sleep(timeout) // for ever is a deadlock to a program without other goroutines
	return nil
}

// listening runs a helper in a sandbox that has this program, and returns the
// port that it tells.
func listening(t *testing.T, box Sandbox, name, address string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	j := start(t, box, Command{
		Args: []string{inside(box, "/program/") + filepath.Base(self)},
		Env:  []string{helperKey + "=" + name, listenKey + "=" + address},
	})
	if err := j.output.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(j.output).ReadString('\n')
	if err != nil {
		t.Fatalf("%s: %q, %v", name, line, err)
	}
	return strings.TrimSpace(line)
}

func createWithProgram(t *testing.T, rt Runtime, id string, more ...Mount) Sandbox {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return create(t, rt, Spec{ID: id, Mounts: append(more, Mount{Source: filepath.Dir(self), Target: "/program"})})
}

func echoOnce(t *testing.T, box Sandbox, network, address string) {
	t.Helper()
	conn, err := box.Dial(t.Context(), network, address)
	if err != nil {
		t.Errorf("%s: %v", address, err)
		return
	}
	defer conn.Close()
	tcp, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		t.Errorf("%s: %T", address, conn)
		return
	}
	conn.SetDeadline(time.Now().Add(timeout))
	io.WriteString(conn, "hello")
	tcp.CloseWrite()
	if got, err := io.ReadAll(conn); string(got) != "hello" || err != nil {
		t.Errorf("%s: %q, %v", address, got, err)
	}
}

func TestDial(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := createWithProgram(t, rt, "box")
		port := listening(t, box, "echo", "127.0.0.1:0")
		for _, host := range []string{"127.0.0.1", "localhost", "", "0.0.0.0", "::ffff:127.0.0.1"} {
			echoOnce(t, box, "tcp", net.JoinHostPort(host, port))
			echoOnce(t, box, "tcp4", net.JoinHostPort(host, port))
		}
		if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
			return // no IPv6 here
		} else {
			l.Close()
		}
		port = listening(t, box, "echo", "[::1]:0")
		for _, host := range []string{"::1", "localhost", "::"} {
			echoOnce(t, box, "tcp", net.JoinHostPort(host, port))
			echoOnce(t, box, "tcp6", net.JoinHostPort(host, port))
		}
	})
}

func TestDialIsOwnNetwork(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		if rt.Isolation() == IsolationProcess {
			return // has the host's
		}
		a, b := createWithProgram(t, rt, "a"), create(t, rt, Spec{ID: "b"})
		port := listening(t, a, "echo", "127.0.0.1:0")
		echoOnce(t, a, "tcp", "localhost:"+port)
		if _, err := b.Dial(t.Context(), "tcp", "localhost:"+port); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("from the other sandbox: %v", err)
		}
		host, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer host.Close()
		if _, err := a.Dial(t.Context(), "tcp", host.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("what listens on the host: %v", err)
		}
	})
}

// TestDialWithoutFamily is about hosts that have only one version of IP.
func TestDialWithoutFamily(t *testing.T) {
	t.Parallel()
	for _, missing := range []netip.Addr{loopback4, loopback6} {
		for _, why := range []error{syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT, syscall.ENETUNREACH} {
			var asked []netip.Addr
			_, err := dialOwn(t.Context(), "tcp", "localhost:80", func(_ context.Context, addr netip.AddrPort) (net.Conn, error) {
				asked = append(asked, addr.Addr())
				if addr.Addr() == missing {
					return nil, os.NewSyscallError("connect", why)
				}
				return nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
			})
			if !errors.Is(err, syscall.ECONNREFUSED) || len(asked) != 2 {
				t.Errorf("%v of %v: %v, asked %v", why, missing, err, asked)
			}
		}
	}
}

func TestDialErrors(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := create(t, rt, Spec{})
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := free.Addr().String()
		free.Close()
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		tests := []struct {
			ctx              context.Context
			network, address string
			want             error
		}{
			{t.Context(), "tcp", address, syscall.ECONNREFUSED},
			{t.Context(), "tcp", "localhost:1", syscall.ECONNREFUSED},
			{t.Context(), "tcp", "192.0.2.1:80", ErrNotAllowed},
			{t.Context(), "tcp", "169.254.169.254:80", ErrNotAllowed},
			{t.Context(), "tcp", "[fe80::1%lo]:80", ErrNotAllowed},
			{t.Context(), "tcp", "example.com:80", ErrNotAllowed},
			{t.Context(), "tcp", "localhost:0", nil},
			{t.Context(), "tcp", "localhost:65536", nil},
			{t.Context(), "tcp", "localhost:http", nil},
			{t.Context(), "tcp", "localhost", nil},
			{t.Context(), "tcp6", "127.0.0.1:80", nil},
			{t.Context(), "udp", address, net.UnknownNetworkError("udp")},
			{t.Context(), "unix", "/run/x", net.UnknownNetworkError("unix")},
			{cancelled, "tcp", address, context.Canceled},
		}
		for _, test := range tests {
			conn, err := box.Dial(test.ctx, test.network, test.address)
			if err == nil {
				conn.Close()
			}
			var op *net.OpError
			if !errors.As(err, &op) || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("%s %s: %v", test.network, test.address, err)
			}
		}
		if err := box.Stop(); err != nil {
			t.Fatal(err)
		}
		if _, err := box.Dial(t.Context(), "tcp", address); !errors.Is(err, ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// fill takes the places of a listener that accepts nothing, in the stead of
// those in the sandbox that may not connect.
func fill(t *testing.T, box Sandbox, address string) {
	t.Helper()
	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		conn, err := box.Dial(ctx, "tcp", address)
		if err != nil {
			return
		}
		t.Cleanup(func() { conn.Close() })
	}
}

// TestDialWaits is about a listener that is full.
func TestDialWaits(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := createWithProgram(t, rt, "box")
		address := "127.0.0.1:" + listening(t, box, "deaf", "")
		fill(t, box, address)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := box.Dial(ctx, "tcp", address); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("deadline: %v", err)
		}
		failed := make(chan error, 1)
		go func() {
			_, err := box.Dial(t.Context(), "tcp", address)
			failed <- err
		}()
		time.AfterFunc(20*time.Millisecond, func() { box.Stop() })
		select {
		case err := <-failed:
			// The kernel may be faster to say that the listener is gone.
			if !errors.Is(err, ErrClosed) && !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("sandbox gone: %v", err)
			}
		case <-time.After(timeout):
			t.Error("the dial outlived the sandbox")
		}
	})
}

func TestDialParallel(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := createWithProgram(t, rt, "box")
		address := "localhost:" + listening(t, box, "echo", "127.0.0.1:0")
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() { echoOnce(t, box, "tcp", address) })
		}
		all.Wait()
	})
}

// TestConnectionEndsWithSandbox reads from a connection whose other end goes.
func TestConnectionEndsWithSandbox(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := createWithProgram(t, rt, "box")
		conn, err := box.Dial(t.Context(), "tcp", "localhost:"+listening(t, box, "echo", "127.0.0.1:0"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := box.Stop(); err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(timeout))
		if n, err := conn.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d, %v", n, err)
		}
	})
}
