package sandboxclient_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/langsandbox/sandbox-go/internal/mux"
	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// What the ports of a tunnelPeer do, besides an answer to the status.
const (
	portEcho   = 7
	portReply  = 80   // answers in capitals when all of the question is there
	portMute   = 1000 // never answers
	portHangUp = 1001 // ends before the status
	portStatus = 5000 // and above: the status is the rest
)

// tunnelPeer is the far side of tunnels. It keeps the sessions.
type tunnelPeer struct {
	*peer

	sessions chan *mux.Session
}

func newTunnelPeer(t *testing.T) *tunnelPeer {
	t.Helper()
	p := &tunnelPeer{sessions: make(chan *mux.Session, 100)}
	p.peer = newPeer(t, func(c *conn) {
		session := mux.New(mux.WebSocket(c.ws, mux.NewWire(nil)), mux.Config{Accept: servePort})
		p.sessions <- session
		<-session.Done()
		session.Close()
	})
	return p
}

func servePort(st *mux.Stream) {
	defer st.Close()
	var prologue [3]byte
	if _, err := io.ReadFull(st, prologue[:]); err != nil || prologue[0] != 1 {
		return
	}
	port := int(prologue[1])<<8 | int(prologue[2])
	switch {
	case port == portMute:
		io.Copy(io.Discard, st)
	case port == portHangUp:
	case port >= portStatus:
		st.Write([]byte{byte(port - portStatus)})
	case port == portReply:
		st.Write([]byte{0})
		question, _ := io.ReadAll(st)
		io.WriteString(st, strings.ToUpper(string(question)))
	default:
		st.Write([]byte{0})
		io.Copy(st, st)
	}
}

func inTunnelBubble(t *testing.T, test func(t *testing.T, p *tunnelPeer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newTunnelPeer(t)
		defer p.close()
		test(t, p)
	})
}

func dialEcho(t *testing.T, sb *sandboxclient.Sandbox) net.Conn {
	t.Helper()
	conn, err := sb.DialContext(t.Context(), "tcp", "localhost:"+strconv.Itoa(portEcho))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func sayAndHear(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := io.WriteString(conn, "ping"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(conn, got); string(got) != "ping" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
}

// idle lets the connection of the tunnels be closed for lack of use.
func idle() { time.Sleep(time.Minute) }

func TestDialContext(t *testing.T) {
	t.Parallel()
	inTunnelBubble(t, func(t *testing.T, p *tunnelPeer) {
		sb := p.box()
		conn := dialEcho(t, sb)
		sayAndHear(t, conn)
		if got := conn.RemoteAddr().String(); got != sb.Name()+":7" || conn.RemoteAddr().Network() != "tcp" || conn.LocalAddr() == nil {
			t.Errorf("remote address %s, local %s", got, conn.LocalAddr())
		}
		conn.SetReadDeadline(time.Now().Add(time.Second))
		_, err := conn.Read(make([]byte, 1))
		if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("after the deadline: %v", err)
		}
		for _, host := range []string{"", "127.0.0.1", "[::1]", "LOCALHOST", sb.Name()} {
			other, err := sb.DialContext(t.Context(), "tcp", host+":7")
			if err != nil {
				t.Fatal(err)
			}
			sayAndHear(t, other)
			other.Close()
		}
		conn.Close()
		conn.Close()
		if _, err := conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
		idle()
		if n := len(p.connections()); n != 1 {
			t.Errorf("%d connections", n)
		}
		sayAndHear(t, dialEcho(t, sb)) // on a new connection
		p.sessionsClose()
		idle()
	})
}

// sessionsClose ends the sessions from the far side.
func (p *tunnelPeer) sessionsClose() {
	for len(p.sessions) > 0 {
		(<-p.sessions).Close()
	}
	synctest.Wait()
}

func TestT011T012TunnelURL(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{
		"http://example.com/":      "example.com GET /tunnel",
		"https://example.com/sb-1": "example.com GET /sb-1/tunnel",
	} {
		inTunnelBubble(t, func(t *testing.T, p *tunnelPeer) {
			var asked []string
			c, err := sandboxclient.New(sandboxclient.WithEnvironment(func(string) string { return "" }),
				sandboxclient.WithEndpoint("http://127.0.0.1/v2/sandboxes"), sandboxclient.WithAPIKey("test-key"), sandboxclient.WithPlaintext(),
				sandboxclient.WithHTTPClient(&http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					if r.URL.Path == "/v2/sandboxes/boxes/box" {
						body := `{"name":"box","status":"ready","dataplane_url":"` + base + `"}`
						return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
					}
					asked = append(asked, r.URL.Host+" "+r.Method+" "+r.URL.Path, r.Header.Get("X-Api-Key"), r.Header.Get("Sec-Websocket-Protocol"), r.URL.RawQuery)
					return p.RoundTrip(r)
				})}))
			if err != nil {
				t.Fatal(err)
			}
			sb, err := c.Get(t.Context(), "box")
			if err != nil {
				t.Fatal(err)
			}
			conn := dialEcho(t, sb)
			sayAndHear(t, conn)
			conn.Close()
			if got := strings.Join(asked, "|"); got != want+"|test-key||" {
				t.Errorf("asked %q", got)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestT237Statuses(t *testing.T) {
	t.Parallel()
	inTunnelBubble(t, func(t *testing.T, p *tunnelPeer) {
		sb := p.box()
		for status, want := range map[sandboxclient.TunnelStatus]struct {
			kind error
			text string
		}{
			1:    {sandboxclient.ErrPortNotAllowed, "port not allowed"},
			2:    {sandboxclient.ErrConnection, "dial failed"},
			3:    {sandboxclient.ErrProtocol, "unsupported protocol version"},
			0x7f: {sandboxclient.ErrProtocol, "unknown"},
		} {
			port := portStatus + int(status)
			conn, err := sb.DialContext(t.Context(), "tcp", "localhost:"+strconv.Itoa(port))
			var failed *sandboxclient.TunnelError
			if conn != nil || !errors.As(err, &failed) || failed.Port != port || failed.Status != status ||
				!errors.Is(err, want.kind) || !strings.Contains(err.Error(), want.text) {
				t.Errorf("status %d: %v", status, err)
			}
		}
		idle()
	})
}

func TestT238T239NoStatus(t *testing.T) {
	t.Parallel()
	inTunnelBubble(t, func(t *testing.T, p *tunnelPeer) {
		sb := p.box()
		if _, err := sb.DialContext(t.Context(), "tcp", "localhost:1001"); !errors.Is(err, sandboxclient.ErrConnection) || errors.Is(err, sandboxclient.ErrTimeout) {
			t.Errorf("end before the status: %v", err)
		}
		begun := time.Now()
		_, err := sb.DialContext(t.Context(), "tcp", "localhost:1000")
		if !errors.Is(err, sandboxclient.ErrConnection) || !errors.Is(err, sandboxclient.ErrTimeout) || time.Since(begun) != 10*time.Second {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := sb.DialContext(ctx, "tcp", "localhost:1000"); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		idle()
	})
}

func TestT240Arguments(t *testing.T) {
	t.Parallel()
	inTunnelBubble(t, func(t *testing.T, p *tunnelPeer) {
		sb := p.box()
		for _, address := range []string{"localhost:0", "localhost:70000", "localhost:-1", "localhost:http", "localhost", "", "example.com:80", "10.0.0.1:80"} {
			if _, err := sb.DialContext(t.Context(), "tcp", address); !errors.Is(err, sandboxclient.ErrInvalid) {
				t.Errorf("%s: %v", address, err)
			}
		}
		if _, err := sb.DialContext(t.Context(), "udp", "localhost:80"); !errors.Is(err, sandboxclient.ErrInvalid) {
			t.Errorf("udp: %v", err)
		}
		for _, port := range []int{0, 70000, -1} {
			if _, err := sb.Tunnel(t.Context(), port, nil); !errors.Is(err, sandboxclient.ErrInvalid) {
				t.Errorf("%d: %v", port, err)
			}
		}
		for _, local := range []string{"127.0.0.1:70000", "127.0.0.1", "localhost:x"} {
			if _, err := sb.Tunnel(t.Context(), 80, &sandboxclient.TunnelOptions{LocalAddr: local}); !errors.Is(err, sandboxclient.ErrInvalid) {
				t.Errorf("%s: %v", local, err)
			}
		}
		if n := len(p.dials); n != 0 {
			t.Errorf("%d connections were made", n)
		}
	})
}

// TestTunnelToStartingSandbox: what a starting sandbox refuses is asked again.
func TestTunnelToStartingSandbox(t *testing.T) {
	t.Parallel()
	inTunnelBubble(t, func(t *testing.T, p *tunnelPeer) {
		p.refuse = func(_ context.Context, n int) (*http.Response, error) {
			if n < 2 {
				return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}"))}, nil
			}
			return nil, errAccept
		}
		conn := dialEcho(t, p.box())
		sayAndHear(t, conn)
		conn.Close()
		idle()
	})
}

// TestSharedDialIsNotOnesOwn: whoever gives up takes the connection from nobody.
func TestSharedDialIsNotOnesOwn(t *testing.T) {
	t.Parallel()
	inTunnelBubble(t, func(t *testing.T, p *tunnelPeer) {
		p.refuse = func(ctx context.Context, _ int) (*http.Response, error) {
			select {
			case <-time.After(5 * time.Second):
				return nil, errAccept
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		sb := p.box()
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		failed := make(chan error, 1)
		go func() {
			_, err := sb.DialContext(impatient, "tcp", "localhost:7")
			failed <- err
		}()
		synctest.Wait()
		conn := dialEcho(t, sb)
		sayAndHear(t, conn)
		conn.Close()
		if err := <-failed; !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		idle()
		// Nobody waits, and nothing is left.
		gone, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := sb.DialContext(gone, "tcp", "localhost:7"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		idle()
	})
}

// TestStaleConnection: one that is found dead only when it is used is made anew.
func TestStaleConnection(t *testing.T) {
	t.Parallel()
	inTunnelBubble(t, func(t *testing.T, p *tunnelPeer) {
		sb := p.box()
		conn := dialEcho(t, sb)
		sayAndHear(t, conn)
		go func() {
			// Falls into the wait for the status.
			time.Sleep(time.Second)
			p.connections()[0].link.reset()
		}()
		if _, err := sb.DialContext(t.Context(), "tcp", "localhost:1000"); !errors.Is(err, sandboxclient.ErrTimeout) {
			t.Errorf("mute port: %v", err)
		}
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, sandboxclient.ErrConnection) {
			t.Errorf("the old connection: %v", err)
		}
		if n := len(p.connections()); n != 2 {
			t.Errorf("%d connections", n)
		}
		conn.Close()
		idle()
	})
}

func TestClientCloseBreaksTunnelsOff(t *testing.T) {
	t.Parallel()
	inTunnelBubble(t, func(t *testing.T, p *tunnelPeer) {
		c, err := sandboxclient.New(sandboxclient.WithEnvironment(func(string) string { return "" }),
			sandboxclient.WithEndpoint(fakeBase), sandboxclient.WithAPIKey(fakeKey), sandboxclient.WithHTTPClient(&http.Client{Transport: p}))
		if err != nil {
			t.Fatal(err)
		}
		conn := dialEcho(t, box(c))
		sayAndHear(t, conn)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, sandboxclient.ErrConnection) {
			t.Error(err)
		}
		conn.Close()
		synctest.Wait()
	})
}
