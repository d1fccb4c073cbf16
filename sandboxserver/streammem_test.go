package sandboxserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/gen"
	sandboxruntime "github.com/langsandbox/sandbox-go/internal/runtime"
	"github.com/langsandbox/sandbox-go/internal/session"
	"github.com/langsandbox/sandbox-go/internal/wire"
)

// pipeNet is a network in memory, so that a bubble's clock runs on while
// connections wait.
type pipeNet struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipeNet() *pipeNet { return &pipeNet{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipeNet) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipeNet) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }
func (p *pipeNet) Close() error   { p.once.Do(func() { close(p.done) }); return nil }

func (p *pipeNet) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// memProcess is a command made of net.Pipes; main is what it does.
type memProcess struct {
	stdin, stdout net.Conn
	over          chan struct{}
	once          sync.Once
	code          int
}

func (p *memProcess) PID() int    { return 42 }
func (p *memProcess) Kill() error { p.exit(137); return nil }

func (p *memProcess) exit(code int) {
	p.once.Do(func() {
		p.code = code
		_ = p.stdin.Close()
		_ = p.stdout.Close()
		close(p.over)
	})
}

func (p *memProcess) Wait(ctx context.Context) (sandboxruntime.ExitStatus, error) {
	select {
	case <-p.over:
		return sandboxruntime.ExitStatus{Code: p.code}, nil
	case <-ctx.Done():
		return sandboxruntime.ExitStatus{}, ctx.Err()
	}
}

// streamWorld serves commands that do what main does.
type streamWorld struct {
	t       *testing.T
	http    *http.Client
	down    context.CancelFunc
	peers   []*streamPeer
	serving atomic.Int32 // connections
}

func inStreamWorld(t *testing.T, main func(*memProcess), test func(*testing.T, *streamWorld)) {
	t.Helper()
	contract, err := loadContract()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		server := &Server{engine: &engine{}, contract: contract}
		server.engine.ctx, server.engine.cancel = context.WithCancel(t.Context())
		run, stop := context.WithCancel(t.Context())
		commands := session.NewStore(run, session.Options{Dir: dir, Start: func(context.Context, session.Spec) (*session.Running, error) {
			inOurs, inTheirs := net.Pipe()
			outOurs, outTheirs := net.Pipe()
			p := &memProcess{stdin: inTheirs, stdout: outTheirs, over: make(chan struct{})}
			go main(p)
			return &session.Running{Process: p, Stdin: inOurs, Stdout: outOurs}, nil
		}})
		network := newPipeNet()
		w := &streamWorld{t: t, down: server.engine.cancel}
		var streams sync.WaitGroup
		web := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			streams.Add(1)
			defer streams.Done()
			w.serving.Add(1)
			defer w.serving.Add(-1)
			if err := server.stream(visit{run: run, commands: commands}, rw, r); err != nil {
				t.Error(err)
			}
		})}
		served := make(chan error, 1)
		go func() { served <- web.Serve(network) }()
		transport := &http.Transport{DialContext: network.dial}
		w.http = &http.Client{Transport: transport}
		defer func() {
			for _, p := range w.peers {
				p.drop()
			}
			streams.Wait()
			server.engine.cancel()
			stop()
			commands.Close()
			transport.CloseIdleConnections()
			_ = web.Close()
			_ = network.Close()
			<-served
		}()
		test(t, w)
	})
}

// streamPeer is a client that does only what it is told; pongs go out when it
// reads.
type streamPeer struct {
	t    *testing.T
	conn *websocket.Conn
	next int64
}

func (w *streamWorld) dial(first string) *streamPeer {
	w.t.Helper()
	conn, _, err := websocket.Dial(w.t.Context(), "ws://memory/execute/ws", &websocket.DialOptions{HTTPClient: w.http})
	if err != nil {
		w.t.Fatal(err)
	}
	conn.SetReadLimit(1 << 20)
	p := &streamPeer{t: w.t, conn: conn}
	w.peers = append(w.peers, p)
	if first != "" {
		p.send(first)
	}
	return p
}

func (w *streamWorld) execute(more string) *streamPeer {
	w.t.Helper()
	p := w.dial(`{"type":"execute","command":"x","command_id":"cmd"` + more + `}`)
	p.want(gen.FrameStarted)
	return p
}

func (p *streamPeer) send(frame string) {
	p.t.Helper()
	if err := p.conn.Write(p.t.Context(), websocket.MessageText, []byte(frame)); err != nil {
		p.t.Fatal(err)
	}
}

// read returns the next frame, and keeps count of the output.
func (p *streamPeer) read() (wire.Frame, error) {
	_, message, err := p.conn.Read(p.t.Context())
	if err != nil {
		return wire.Frame{}, err
	}
	f, err := wire.Decode(message)
	if err == nil && f.Type == gen.FrameStdout {
		if f.Offset != p.next {
			err = errors.New("output is missing")
		}
		p.next = f.Offset + int64(len(f.Data))
	}
	return f, err
}

func (p *streamPeer) want(kind gen.FrameType) {
	p.t.Helper()
	f, err := p.read()
	if err != nil || f.Type != kind {
		p.t.Fatalf("frame %s error %v, want %s", f.Type, err, kind)
	}
}

// drain reads to the end and returns the output and the last frame.
func (p *streamPeer) drain() (string, wire.Frame) {
	p.t.Helper()
	var text bytes.Buffer
	for {
		f, err := p.read()
		if err != nil {
			p.t.Fatal(err)
		}
		if f.Type != gen.FrameStdout {
			return text.String(), f
		}
		text.Write(f.Data)
	}
}

func (p *streamPeer) drop() { _ = p.conn.CloseNow() }

const lines = 100_000

// chatter prints 100,000 lines, and one more when it hears something.
func chatter(p *memProcess) {
	for range lines {
		_, _ = io.WriteString(p.stdout, "0123456789 0123456789 0123456789 0123456\n")
	}
	_, _ = p.stdin.Read(make([]byte, 100))
	p.exit(0)
}

func TestStreamDeadClientIsNoticedAndLosesNothing(t *testing.T) {
	t.Parallel()
	inStreamWorld(t, chatter, func(t *testing.T, w *streamWorld) {
		begin := time.Now()
		dead := w.execute(`,"timeout_seconds":0`)
		dead.want(gen.FrameStdout) // and reads no more
		time.Sleep(2 * time.Minute)
		back := w.dial(`{"type":"reconnect","command_id":"cmd","stdout_offset":0,"stderr_offset":0}`)
		back.want(gen.FrameStarted)
		back.send(`{"type":"input","data":"x"}`)
		text, last := back.drain()
		if len(text) != lines*41 || last.Type != gen.FrameExit {
			t.Errorf("%d bytes, then %s", len(text), last.Type)
		}
		if err := dead.conn.Write(t.Context(), websocket.MessageText, []byte(`{"type":"kill"}`)); err == nil {
			t.Error("the server did not hang up on a client that does not answer")
		}
		if took := time.Since(begin); took > 3*time.Minute {
			t.Errorf("took %v", took)
		}
	})
}

func TestStreamQuietConnectionIsKept(t *testing.T) {
	t.Parallel()
	quiet := func(p *memProcess) { time.Sleep(5 * time.Hour); p.exit(0) }
	inStreamWorld(t, quiet, func(t *testing.T, w *streamWorld) {
		p := w.execute(`,"timeout_seconds":0,"idle_timeout_seconds":1`)
		if _, last := p.drain(); last.Type != gen.FrameExit {
			t.Errorf("last frame %s", last.Type)
		}
	})
}

func TestStreamClientThatSaysNothing(t *testing.T) {
	t.Parallel()
	inStreamWorld(t, func(*memProcess) {}, func(t *testing.T, w *streamWorld) {
		begin := time.Now()
		p := w.dial("")
		if _, err := p.read(); err == nil {
			t.Error("a frame out of nothing")
		}
		if took := time.Since(begin); took != firstFrameTimeout {
			t.Errorf("took %v", took)
		}
	})
}

func TestStreamFloodOfInputDoesNotLockUp(t *testing.T) {
	t.Parallel()
	cat := func(p *memProcess) { _, _ = io.Copy(p.stdout, p.stdin); p.exit(0) }
	inStreamWorld(t, cat, func(t *testing.T, w *streamWorld) {
		p := w.execute(`,"timeout_seconds":0`)
		line := strings.Repeat("x", 64<<10)
		frame, err := json.Marshal(gen.InputFrame{Type: gen.FrameInput, Data: line})
		if err != nil {
			t.Fatal(err)
		}
		for range 256 { // 16 MiB, and nothing read meanwhile
			p.send(string(frame))
		}
		p.send(`{"type":"close_stdin"}`)
		text, last := p.drain()
		if len(text) != 256*len(line) || last.Type != gen.FrameExit {
			t.Errorf("%d bytes of %d, then %s", len(text), 256*len(line), last.Type)
		}
	})
}

func TestStreamKillReachesACommandThatDoesNotRead(t *testing.T) {
	t.Parallel()
	inStreamWorld(t, func(*memProcess) {}, func(t *testing.T, w *streamWorld) {
		p := w.execute(`,"timeout_seconds":0`)
		frame := `{"type":"input","data":"` + strings.Repeat("x", 1<<20) + `"}`
		end := make(chan gen.FrameType)
		go func() { // reads what comes, as clients do
			f, _ := p.read()
			end <- f.Type
		}()
		p.send(frame)
		p.send(frame)
		time.Sleep(10 * time.Second)
		other := w.dial(`{"type":"reconnect","command_id":"cmd"}`)
		other.want(gen.FrameStarted)
		other.send(`{"type":"kill"}`)
		if _, last := other.drain(); last.Type != gen.FrameExit {
			t.Errorf("last frame %s", last.Type)
		}
		if last := <-end; last != gen.FrameExit {
			t.Errorf("last frame %s", last)
		}
	})
}

func TestStreamSlowReaderGetsEverything(t *testing.T) {
	t.Parallel()
	inStreamWorld(t, chatter, func(_ *testing.T, w *streamWorld) {
		p := w.execute(`,"timeout_seconds":0`)
		p.send(`{"type":"input","data":"x"}`)
		for p.next < lines*41 {
			p.want(gen.FrameStdout)
			time.Sleep(time.Second) // shorter than it takes to be cut off
		}
		p.want(gen.FrameExit)
	})
}

func TestStreamShutdownSendsClientsAway(t *testing.T) {
	t.Parallel()
	inStreamWorld(t, func(*memProcess) {}, func(t *testing.T, w *streamWorld) {
		p := w.execute("")
		w.down()
		if _, err := p.read(); websocket.CloseStatus(err) != websocket.StatusGoingAway {
			t.Errorf("error %v", err)
		}
	})
}

// TestStreamShutdownWithAClientThatReadsNothing must not leave the connection,
// and what serves it, to a client that is stuck.
func TestStreamShutdownWithAClientThatReadsNothing(t *testing.T) {
	t.Parallel()
	inStreamWorld(t, chatter, func(t *testing.T, w *streamWorld) {
		p := w.execute("")
		p.want(gen.FrameStdout) // and reads no more
		time.Sleep(time.Second)
		w.down()
		time.Sleep(goodbye + time.Second)
		if n := w.serving.Load(); n != 0 {
			t.Errorf("%d connections are still served", n)
		}
	})
}

// TestStreamBrokenConnectionWithInputThatWaits has a command that reads no
// input and a client whose connection breaks behind its input.
func TestStreamBrokenConnectionWithInputThatWaits(t *testing.T) {
	t.Parallel()
	inStreamWorld(t, func(*memProcess) {}, func(t *testing.T, w *streamWorld) {
		p := w.execute(`,"timeout_seconds":0`)
		frame := `{"type":"input","data":"` + strings.Repeat("x", 1<<20) + `"}`
		p.send(frame)
		p.send(frame)
		time.Sleep(time.Second)
		p.drop()
		time.Sleep(2 * time.Minute)
		if n := w.serving.Load(); n != 0 {
			t.Errorf("%d connections are still served", n)
		}
	})
}
