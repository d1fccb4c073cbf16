package sandboxserver

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/internal/mux"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// newTunnel is a client's session with a sandbox whose ports are those of dial.
func newTunnel(t *testing.T, dial func(ctx context.Context, network, address string) (net.Conn, error)) (*mux.Session, *bench) {
	t.Helper()
	b := newBench(t)
	b.fake.dial = dial
	s := b.box(map[string]any{"name": "box"})
	web := httptest.NewServer(b.server)
	t.Cleanup(web.Close)
	_, path, _ := strings.Cut(strings.TrimPrefix(s.DataplaneURL, "http://"), "/")
	conn, resp, err := websocket.Dial(t.Context(), web.URL+"/"+path+"/tunnel", &websocket.DialOptions{HTTPHeader: http.Header{"X-Api-Key": {testKey}}})
	if err != nil {
		t.Fatalf("%v: %+v", err, resp)
	}
	session := mux.New(mux.WebSocket(conn, mux.NewWire(nil)), mux.Config{})
	t.Cleanup(func() { session.Close() })
	return session, b
}

// ask opens a stream with a prologue and returns it after the status.
func ask(t *testing.T, session *mux.Session, prologue ...byte) (*mux.Stream, byte) {
	t.Helper()
	st, err := session.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	st.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := st.Write(prologue); err != nil {
		t.Fatal(err)
	}
	var status [1]byte
	if _, err := io.ReadFull(st, status[:]); err != nil {
		t.Fatal(err)
	}
	return st, status[0]
}

func TestTunnelStatuses(t *testing.T) {
	t.Parallel()
	session, _ := newTunnel(t, func(_ context.Context, network, address string) (net.Conn, error) {
		switch address {
		case "localhost:8080":
			near, far := net.Pipe()
			go func() {
				defer far.Close()
				io.WriteString(far, "hi")
			}()
			return near, nil
		case "localhost:25":
			return nil, &net.OpError{Op: "dial", Net: network, Err: runtime.ErrNotAllowed}
		}
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	})
	for name, test := range map[string]struct {
		prologue []byte
		want     byte
	}{
		"connected":              {[]byte{1, 0x1f, 0x90}, 0},
		"not allowed":            {[]byte{1, 0, 25}, 1},
		"no port":                {[]byte{1, 0, 0}, 1},
		"nothing listens":        {[]byte{1, 0xff, 0xff}, 2},
		"T252, version 2":        {[]byte{2, 0x1f, 0x90}, 3},
		"version 0, and no more": {[]byte{0}, 3},
	} {
		st, status := ask(t, session, test.prologue...)
		if status != test.want {
			t.Errorf("%s: status %d, want %d", name, status, test.want)
		}
		want := ""
		if test.want == 0 {
			want = "hi"
		}
		if got, err := io.ReadAll(st); string(got) != want || err != nil {
			t.Errorf("%s: then %q, %v", name, got, err)
		}
	}
}

// TestTunnelWithoutSandbox is about what ends the connection.
func TestTunnelWithoutSandbox(t *testing.T) {
	t.Parallel()
	session, b := newTunnel(t, func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		t.Cleanup(func() { far.Close() })
		return near, nil
	})
	st, status := ask(t, session, 1, 0, 80)
	if status != 0 {
		t.Fatalf("status %d", status)
	}
	go st.Write(make([]byte, 1<<20)) // which nobody reads
	b.want(204, "DELETE", "/boxes/box", nil)
	select {
	case <-session.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("the connection outlived the sandbox")
	}
	if _, err := st.Read(make([]byte, 1)); !errors.Is(err, mux.ErrReset) {
		t.Error(err)
	}
}

func TestTunnelHandshake(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.box(map[string]any{})
	status := func(r *http.Request) int {
		w := httptest.NewRecorder()
		b.server.ServeHTTP(w, r)
		return w.Code
	}
	if got := status(request("GET", dataplane(s)+"/tunnel", nil)); got != http.StatusUpgradeRequired {
		t.Errorf("no upgrade: %d", got)
	}
	if got := status(request("POST", dataplane(s)+"/tunnel", nil)); got != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", got)
	}
	r := request("GET", dataplane(s)+"/tunnel", nil)
	r.Header.Del("X-Api-Key")
	if got := status(r); got != http.StatusUnauthorized {
		t.Errorf("no key: %d", got)
	}
}

// TestTunnelDialEndsWithStream: nobody dials for a stream that was broken off.
func TestTunnelDialEndsWithStream(t *testing.T) {
	t.Parallel()
	dialing, over := make(chan struct{}), make(chan struct{})
	session, _ := newTunnel(t, func(ctx context.Context, _, _ string) (net.Conn, error) {
		close(dialing)
		<-ctx.Done()
		if errors.Is(ctx.Err(), context.Canceled) {
			close(over)
		}
		return nil, ctx.Err()
	})
	st, err := session.Open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Write([]byte{1, 0, 80}); err != nil {
		t.Fatal(err)
	}
	<-dialing
	st.Reset()
	select {
	case <-over:
	case <-time.After(30 * time.Second):
		t.Error("it was dialed on")
	}
}
