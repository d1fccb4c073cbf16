package sandboxclient_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// errAccept has a handshake go on.
var errAccept = errors.New("accept")

// frame is one frame as an object.
type frame = map[string]any

// peer is the far side of the command stream, in the bubble of a test: a
// RoundTripper that answers handshakes with connections in memory.
type peer struct {
	t      *testing.T
	began  time.Time
	life   context.Context //nolint:containedctx // the test's
	refuse func(ctx context.Context, n int) (*http.Response, error)
	serve  func(*conn)

	options []sandboxclient.Option
	mu      sync.Mutex
	dials   []time.Duration // since began, also those refused
	seen    []http.Header
	hosts   []string
	paths   []string
	conns   []*conn
	tasks   sync.WaitGroup
	end     context.CancelFunc
}

func newPeer(t *testing.T, serve func(*conn)) *peer {
	t.Helper()
	p := &peer{t: t, began: time.Now(), serve: serve}
	p.life, p.end = context.WithCancel(t.Context())
	return p
}

// RoundTrip answers one handshake.
func (p *peer) RoundTrip(req *http.Request) (*http.Response, error) {
	p.mu.Lock()
	n := len(p.dials)
	p.dials = append(p.dials, time.Since(p.began))
	p.seen = append(p.seen, req.Header.Clone())
	p.hosts = append(p.hosts, req.URL.Host)
	p.paths = append(p.paths, req.Method+" "+req.URL.Path)
	p.mu.Unlock()
	if p.refuse != nil {
		if resp, err := p.refuse(req.Context(), n); !errors.Is(err, errAccept) {
			return resp, err
		}
	}
	c := &conn{peer: p, dial: n, link: newLink()}
	p.mu.Lock()
	c.n = len(p.conns)
	p.conns = append(p.conns, c)
	p.mu.Unlock()
	w := &switcher{ResponseRecorder: httptest.NewRecorder(), conn: end{c.link, serverSide}}
	ws, err := websocket.Accept(w, req, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(-1)
	c.ws = ws
	p.tasks.Go(func() {
		defer ws.CloseNow()
		p.serve(c)
	})
	return &http.Response{
		StatusCode: http.StatusSwitchingProtocols, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.Header(), Body: end{c.link, clientSide}, Request: req,
	}, nil
}

// switcher is a ResponseWriter that gives its connection away.
type switcher struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

func (s *switcher) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return s.conn, bufio.NewReadWriter(bufio.NewReader(s.conn), bufio.NewWriter(s.conn)), nil
}

// connections are those made so far.
func (p *peer) connections() []*conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*conn(nil), p.conns...)
}

// close checks that the client has let go of everything, and ends the peer.
func (p *peer) close() {
	p.t.Helper()
	synctest.Wait()
	if left := clientGoroutines(); left != "" {
		p.t.Errorf("goroutines of the client are left:\n%s", left)
	}
	for i, c := range p.connections() {
		if !c.link.closedBy(clientSide) {
			p.t.Errorf("connection %d was left open", i)
		}
	}
	p.end()
	for _, c := range p.connections() {
		c.link.reset()
		_ = c.ws.CloseNow()
	}
	p.tasks.Wait()
}

// clientGoroutines are the stacks in this bubble that are in the client.
func clientGoroutines() string {
	buf := make([]byte, 4<<20)
	own := string(buf[:runtime.Stack(buf, false)])
	_, bubble, ok := strings.Cut(own[:strings.IndexByte(own, '\n')], "synctest bubble ")
	if !ok {
		return "not in a bubble: " + own
	}
	bubble = "synctest bubble " + bubble
	var left []string
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		head, rest, _ := strings.Cut(stack, "\n")
		if strings.HasSuffix(head, bubble) && strings.Contains(rest, "/sandboxclient.") {
			left = append(left, stack)
		}
	}
	return strings.Join(left, "\n\n")
}

// box is a sandbox of which the peer is the data plane.
func (p *peer) box(opts ...sandboxclient.Option) *sandboxclient.Sandbox {
	p.t.Helper()
	c, err := sandboxclient.New(append([]sandboxclient.Option{
		sandboxclient.WithEnvironment(func(string) string { return "" }),
		sandboxclient.WithEndpoint(fakeBase),
		sandboxclient.WithAPIKey(fakeKey),
		sandboxclient.WithHTTPClient(&http.Client{Transport: p}),
		sandboxclient.WithCommandPolicy(steady),
	}, append(p.options, opts...)...)...)
	if err != nil {
		p.t.Fatal(err)
	}
	return box(c)
}

// steady leaves nothing to chance.
var steady = sandboxclient.CommandPolicy{Jitter: -1}

// conn is one connection, seen from the server.
type conn struct {
	peer    *peer
	n, dial int // of the connections, and of the dials
	ws      *websocket.Conn
	link    *link

	mu    sync.Mutex
	got   []frame
	at    []time.Duration
	ended error
}

// recv is the next frame of the client, nil if there is none any more.
func (c *conn) recv() frame {
	kind, message, err := c.ws.Read(c.peer.life)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.ended = err
		return nil
	}
	var f frame
	if e := json.Unmarshal(message, &f); e != nil || kind != websocket.MessageText {
		c.peer.t.Errorf("the client sent %q (%v): %v", message, kind, e)
		return nil
	}
	c.got = append(c.got, f)
	c.at = append(c.at, time.Since(c.peer.began))
	return f
}

// received are the frames of the client so far.
func (c *conn) received() []frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]frame(nil), c.got...)
}

// sent returns the frames of one type that the client sent.
func (c *conn) sent(kind string) []frame {
	var all []frame
	for _, f := range c.received() {
		if f["type"] == kind {
			all = append(all, f)
		}
	}
	return all
}

// drain reads until the client leaves.
func (c *conn) drain() {
	for c.recv() != nil {
	}
}

// until reads up to a frame of that type; it reports false if the client
// leaves before.
func (c *conn) until(kind string) bool {
	for {
		if f := c.recv(); f == nil || f["type"] == kind {
			return f != nil
		}
	}
}

// send sends messages; it reports whether they could be sent.
func (c *conn) send(messages ...string) bool {
	for _, m := range messages {
		if c.ws.Write(c.peer.life, websocket.MessageText, []byte(m)) != nil {
			return false
		}
	}
	return true
}

// close says goodbye with a code, and waits for nobody.
func (c *conn) close(code websocket.StatusCode) {
	c.closing(code)
	c.link.cut()
}

// closing says goodbye and leaves the connection open behind it.
func (c *conn) closing(code websocket.StatusCode) {
	// A server that closes waits for the answer; here nobody reads it.
	body := []byte{0x88, 2, byte(code >> 8), byte(code)}
	if code == websocket.StatusNoStatusRcvd {
		body = []byte{0x88, 0}
	}
	_, _ = end{c.link, serverSide}.Write(body)
}

// pause waits on the clock of the bubble.
func (c *conn) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-c.peer.life.Done():
	}
}

const started = `{"type":"started","command_id":"cmd-123","pid":42}`

func stdout(data string, offset int64) string { return event{0, offset, 0, data}.message() }

func stderr(data string, offset int64) string { return event{1, offset, 0, data}.message() }

func exit(code int) string { return fmt.Sprintf(`{"type":"exit","exit_code":%d}`, code) }

func marshal(f frame) string {
	b, err := json.Marshal(f)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// scripted is a peer whose connections each follow a script; one more is an
// error.
func scripted(t *testing.T, scripts ...func(*conn)) *peer {
	t.Helper()
	return newPeer(t, func(c *conn) {
		if c.n >= len(scripts) {
			t.Errorf("connection %d was not expected", c.n+1)
			return
		}
		scripts[c.n](c)
	})
}
