package contract_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
	"github.com/langsandbox/sandbox-go/sandboxtest"
)

// onThisMachine makes a sandbox whose network is that of the test, which then
// is what listens there.
func onThisMachine(t *testing.T) *sandboxclient.Sandbox {
	t.Helper()
	c, _ := sandboxtest.New(t, sandboxtest.WithConfig(func(cfg *sandboxserver.Config) { cfg.Isolation = sandboxserver.IsolationProcess }))
	return ready(t, c)
}

func ready(t *testing.T, c *sandboxclient.Client) *sandboxclient.Sandbox {
	t.Helper()
	sb, err := c.Create(t.Context(), &sandboxclient.CreateSandbox{})
	if err != nil {
		t.Fatal(err)
	}
	if err := sb.WaitReady(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return sb
}

func listen(t *testing.T) (net.Listener, string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, l.Addr().String()
}

// serving accepts until the end of the test.
func serving(t *testing.T, serve func(*net.TCPConn)) string {
	t.Helper()
	l, address := listen(t)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				serve(conn.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return address
}

func dialSandbox(t *testing.T, sb *sandboxclient.Sandbox, address string) net.Conn {
	t.Helper()
	conn, err := sb.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestTunnelIsNetConn(t *testing.T) {
	t.Parallel()
	sb := onThisMachine(t)
	l, address := listen(t)
	nettest.TestConn(t, func() (near, far net.Conn, stop func(), err error) {
		near, err = sb.DialContext(t.Context(), "tcp", address)
		if err != nil {
			return nil, nil, nil, err
		}
		far, err = l.Accept()
		return near, far, func() { near.Close(); far.Close() }, err
	})
}

// TestT249HalfClose is the end of the question before the answer, through
// both kinds of tunnels.
func TestT249HalfClose(t *testing.T) {
	t.Parallel()
	sb := onThisMachine(t)
	address := serving(t, func(conn *net.TCPConn) {
		question, err := io.ReadAll(conn)
		if err != nil {
			t.Error(err)
		}
		conn.Write(bytes.ToUpper(question))
	})
	_, service, _ := net.SplitHostPort(address)
	port, _ := strconv.Atoi(service)
	tunnel, err := sb.Tunnel(t.Context(), port, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tunnel.Close()
	local, err := new(net.Dialer).DialContext(t.Context(), "tcp", tunnel.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, conn := range []net.Conn{local, dialSandbox(t, sb, address)} {
		io.WriteString(conn, "question")
		if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Error(err)
		}
		if got, err := io.ReadAll(conn); string(got) != "QUESTION" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		conn.Close()
	}
}

func TestT241T242T243LocalAddress(t *testing.T) {
	t.Parallel()
	sb := onThisMachine(t)
	free, err := sb.Tunnel(t.Context(), 5432, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer free.Close()
	addr, ok := free.Addr().(*net.TCPAddr)
	if !ok || !addr.IP.Equal(net.IPv4(127, 0, 0, 1)) || addr.Port == 0 {
		t.Errorf("listens on %v", free.Addr())
	}
	if _, err := sb.Tunnel(t.Context(), 5432, &sandboxclient.TunnelOptions{LocalAddr: addr.String()}); err == nil {
		t.Error("two tunnels on one address")
	}
	if err := free.Close(); err != nil {
		t.Error(err)
	}
	again, err := sb.Tunnel(t.Context(), 5432, &sandboxclient.TunnelOptions{LocalAddr: addr.String()})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Addr().String() != addr.String() {
		t.Errorf("listens on %v, not %v", again.Addr(), addr)
	}
}

// TestTunnelBreaksOff: what breaks off on one side does so on the other.
func TestTunnelBreaksOff(t *testing.T) {
	t.Parallel()
	sb := onThisMachine(t)
	l, address := listen(t)
	near := dialSandbox(t, sb, address)
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	far.(*net.TCPConn).SetLinger(0)
	far.Close()
	if n, err := near.Read(make([]byte, 1)); n > 0 || !errors.Is(err, sandboxclient.ErrConnection) {
		t.Errorf("%d, %v", n, err)
	}

	near = dialSandbox(t, sb, address)
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	far.Write([]byte("unread"))
	near.Read(make([]byte, 1))
	near.Close()
	far.SetDeadline(time.Now().Add(30 * time.Second))
	if n, err := far.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%d, %v", n, err)
	}
	l.Close()
	var refused *sandboxclient.TunnelError
	if _, err := sb.DialContext(t.Context(), "tcp", address); !errors.As(err, &refused) || refused.Status != sandboxclient.TunnelDialFailed {
		t.Error(err)
	}
}

// TestManyTunnels opens and closes ten thousand. It runs alone, since it
// counts the goroutines of the whole process.
func TestManyTunnels(t *testing.T) { //nolint:paralleltest // see above
	sb := onThisMachine(t)
	address := serving(t, func(conn *net.TCPConn) { io.Copy(conn, conn) })
	once := func() {
		conn, err := sb.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "ping")
		got := make([]byte, 4)
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != "ping" {
			t.Errorf("%q, %v", got, err)
		}
	}
	once()
	before := runtime.NumGoroutine()
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for range 10_000 / 16 {
				once()
			}
		})
	}
	workers.Wait()
	deadline := time.Now().Add(30 * time.Second)
	for ; runtime.NumGoroutine() > before+10; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// TestSlowTunnel: one that nobody reads from does not hold up the others.
func TestSlowTunnel(t *testing.T) {
	t.Parallel()
	sb := onThisMachine(t)
	const size = 8 << 20
	address := serving(t, func(conn *net.TCPConn) { conn.Write(make([]byte, size)) })
	slow := dialSandbox(t, sb, address)
	if _, err := slow.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		conn := dialSandbox(t, sb, address)
		conn.SetDeadline(time.Now().Add(time.Minute))
		if n, err := io.Copy(io.Discard, conn); n != size || err != nil {
			t.Fatal(n, err)
		}
		conn.Close()
	}
	if n, err := io.Copy(io.Discard, slow); n != size-1 || err != nil {
		t.Error(n, err)
	}
}

// TestTunnelEndsWithSandbox: nothing outlives the sandbox.
func TestTunnelEndsWithSandbox(t *testing.T) {
	t.Parallel()
	sb := onThisMachine(t)
	l, address := listen(t)
	near := dialSandbox(t, sb, address)
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	if err := sb.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, conn := range []net.Conn{near, far} {
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		var timeout net.Error
		if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil || errors.As(err, &timeout) && timeout.Timeout() {
			t.Errorf("%d, %v", n, err)
		}
	}
	if _, err := sb.DialContext(t.Context(), "tcp", address); !errors.Is(err, sandboxclient.ErrNotFound) {
		t.Error(err)
	}
}

// TestHTTPThroughTunnel uses DialContext where it is meant to be used.
func TestHTTPThroughTunnel(t *testing.T) {
	t.Parallel()
	sb := onThisMachine(t)
	l, _ := listen(t)
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	}), ReadHeaderTimeout: time.Minute}
	go web.Serve(l)
	defer web.Close()
	transport := &http.Transport{DialContext: sb.DialContext}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for range 100 {
		body := bytes.Repeat([]byte("body"), 10_000)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+l.Addr().String()+"/", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !bytes.Equal(got, body) || err != nil {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
}
