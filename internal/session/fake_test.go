package session

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// fakeProcess is a command whose doings a test decides. Its pipes hold
// nothing: a write is over when it was read.
type fakeProcess struct {
	pid            int
	stdin          net.Conn
	stdout, stderr net.Conn
	hold           bool // keeps its output open when it ends
	killErr        error

	mu     sync.Mutex
	over   chan struct{}
	status runtime.ExitStatus
}

func (p *fakeProcess) PID() int { return p.pid }

func (p *fakeProcess) Kill() error {
	p.mu.Lock()
	err := p.killErr
	p.killErr = nil
	p.mu.Unlock()
	if err == nil {
		p.exit(137)
	}
	return err
}

// exit ends the process.
func (p *fakeProcess) exit(code int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.over:
		return
	default:
	}
	p.status.Code = code
	_ = p.stdin.Close()
	if !p.hold {
		_ = p.stdout.Close()
		_ = p.stderr.Close()
	}
	close(p.over)
}

func (p *fakeProcess) Wait(ctx context.Context) (runtime.ExitStatus, error) {
	select {
	case <-p.over:
		return p.status, nil
	case <-ctx.Done():
		return runtime.ExitStatus{}, ctx.Err()
	}
}

func (p *fakeProcess) print(text string)    { _, _ = io.WriteString(p.stdout, text) }
func (p *fakeProcess) complain(text string) { _, _ = io.WriteString(p.stderr, text) }

// world is a store with fake processes, in a bubble.
type world struct {
	*Store
	t        *testing.T
	mu       sync.Mutex
	starts   int
	script   func(*fakeProcess)
	startErr error
	delay    time.Duration
	ended    int
	cancel   context.CancelFunc
}

// inWorld runs a test in a bubble, in which a command does what script does,
// and checks that nothing is left of the store at the end.
func inWorld(t *testing.T, opts Options, script func(*fakeProcess), test func(*testing.T, *world)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := &world{t: t, script: script, cancel: cancel}
		opts.Start, opts.Dir = w.start, dir
		w.Store = NewStore(ctx, opts)
		test(t, w)
		cancel()
		w.Close()
		if w.starts != w.ended {
			t.Errorf("%d started, %d ended", w.starts, w.ended)
		}
		if left := w.opts.Budget.left.Load(); left != defaultBudget {
			t.Errorf("%d bytes of the budget were not given back", defaultBudget-left)
		}
	})
}

func (w *world) start(ctx context.Context, _ Spec) (*Running, error) {
	if w.delay > 0 {
		select {
		case <-time.After(w.delay):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err := w.startErr; err != nil {
		w.startErr = nil
		return nil, err
	}
	w.mu.Lock()
	w.starts++
	pid := 100 + w.starts
	w.mu.Unlock()
	inOurs, inTheirs := net.Pipe()
	outOurs, outTheirs := net.Pipe()
	errOurs, errTheirs := net.Pipe()
	p := &fakeProcess{pid: pid, stdin: inTheirs, stdout: outTheirs, stderr: errTheirs, over: make(chan struct{})}
	go w.script(p)
	return &Running{
		Process: p, Stdin: inOurs, Stdout: outOurs, Stderr: errOurs,
		Ended: func() { w.mu.Lock(); defer w.mu.Unlock(); w.ended++ },
	}, nil
}

// spec is what clients of the API ask for.
func spec(id string) Spec {
	return Spec{ID: id, Timeout: time.Minute, Idle: 5 * time.Minute, Keep: 10 * time.Minute}
}

func (w *world) execute(s Spec) *Attachment {
	w.t.Helper()
	a, err := w.Execute(w.t.Context(), s)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) reconnect(id string, stdout, stderr int64) *Attachment {
	w.t.Helper()
	return w.attach(id, Resume{Stdout: stdout, Stderr: stderr})
}

func (w *world) attach(id string, r Resume) *Attachment {
	w.t.Helper()
	a, err := w.Reconnect(w.t.Context(), id, r)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// transcript is what an attachment was given.
type transcript struct {
	text   [streams]bytes.Buffer
	chunks []Chunk
	gaps   int64
}

// read reads and acknowledges until the end, or until stop says so.
func (w *world) read(a *Attachment, stop func(*transcript) bool) *transcript {
	w.t.Helper()
	got := new(transcript)
	var next [streams]int64
	next[Stdout], next[Stderr] = a.Positions()
	buffer := make([]byte, 64<<10)
	for stop == nil || !stop(got) {
		chunk, err := a.Next(w.t.Context(), buffer)
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			w.t.Fatal(err)
		}
		if chunk.Offset < next[chunk.Stream] {
			w.t.Fatalf("offset %d, want at least %d", chunk.Offset, next[chunk.Stream])
		}
		got.gaps += chunk.Offset - next[chunk.Stream]
		next[chunk.Stream] = chunk.Offset + int64(len(chunk.Data))
		got.text[chunk.Stream].Write(chunk.Data)
		chunk.Data = bytes.Clone(chunk.Data)
		got.chunks = append(got.chunks, chunk)
		a.Ack(a.Positions())
	}
	return got
}

func (g *transcript) want(t *testing.T, stdout, stderr string) {
	t.Helper()
	if out, err := g.text[Stdout].String(), g.text[Stderr].String(); out != stdout || err != stderr {
		t.Errorf("stdout %.100q stderr %.100q, want %.100q and %.100q", out, err, stdout, stderr)
	}
}

func (w *world) outcome(a *Attachment, want Outcome) {
	w.t.Helper()
	if got := a.Outcome(); got.Code != want.Code || !errors.Is(got.Err, want.Err) {
		w.t.Errorf("outcome %+v, want %+v", got, want)
	}
}
