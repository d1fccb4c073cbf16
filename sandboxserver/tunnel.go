package sandboxserver

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/mux"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

const (
	// tunnelOperation is the path of tunnels, whose WebSocket carries streams.
	tunnelOperation = "tunnel"
	// maxTunnelStreams bounds the open streams of one connection. Each may
	// hold a window of data that its reader does not take.
	maxTunnelStreams = 1024
	// prologueTimeout bounds how long a client may take to name a port, and
	// tunnelDialTimeout how long whoever listens may take to accept.
	prologueTimeout   = 10 * time.Second
	tunnelDialTimeout = 5 * time.Second
)

// tunnel serves one connection that carries streams to ports of the sandbox.
// It returns when nothing of them is left.
func (s *Server) tunnel(v visit, w http.ResponseWriter, r *http.Request) error {
	hijacker := &mux.Hijacker{ResponseWriter: w}
	conn, err := websocket.Accept(hijacker, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // checkUpgrade did it
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		s.cfg.Logger.DebugContext(r.Context(), "handshake failed", "error", err)
		return nil // answered
	}
	ctx := r.Context()
	session := mux.New(mux.WebSocket(conn, hijacker.Wire), mux.Config{
		MaxStreams: maxTunnelStreams,
		Accept:     func(st *mux.Stream) { serveTunnel(ctx, v.sb, st) },
	})
	select {
	case <-session.Done():
	case <-ctx.Done():
	}
	return session.Close()
}

// serveTunnel connects one stream to the port that it asks for.
func serveTunnel(ctx context.Context, sb runtime.Sandbox, st *mux.Stream) {
	defer st.Close()
	target, status := dialTunnel(ctx, sb, st)
	if target == nil {
		if status != gen.TunnelConnected {
			_, _ = st.Write([]byte{byte(status)})
		}
		return
	}
	if _, err := st.Write([]byte{byte(gen.TunnelConnected)}); err != nil {
		_ = target.Close()
		return
	}
	_ = mux.Bridge(st, target, nil)
}

// dialTunnel reads the prologue and dials. Without a connection, and with no
// other status, there is nobody to answer.
func dialTunnel(ctx context.Context, sb runtime.Sandbox, st *mux.Stream) (net.Conn, gen.TunnelStatus) {
	_ = st.SetReadDeadline(time.Now().Add(prologueTimeout))
	var prologue [3]byte
	if _, err := io.ReadFull(st, prologue[:1]); err != nil {
		return nil, gen.TunnelConnected
	}
	if prologue[0] != 1 {
		return nil, gen.TunnelBadVersion
	}
	if _, err := io.ReadFull(st, prologue[1:]); err != nil {
		return nil, gen.TunnelConnected
	}
	_ = st.SetReadDeadline(time.Time{})
	port := int(prologue[1])<<8 | int(prologue[2])
	if port == 0 {
		return nil, gen.TunnelPortNotAllowed
	}
	ctx, cancel := context.WithTimeout(ctx, tunnelDialTimeout)
	defer cancel()
	st.OnReset(cancel) // nobody waits any more
	target, err := sb.Dial(ctx, "tcp", net.JoinHostPort("localhost", strconv.Itoa(port)))
	switch {
	case errors.Is(err, runtime.ErrNotAllowed):
		return nil, gen.TunnelPortNotAllowed
	case err != nil:
		return nil, gen.TunnelDialFailed
	}
	return target, gen.TunnelConnected
}
