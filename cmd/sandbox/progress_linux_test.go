package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent/terminal"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

// gate is a server that holds back requests until it is opened.
type gate struct {
	mu     sync.Mutex
	held   string // METHOD and the end of the path; nothing is held if empty
	opened chan struct{}
	env    []string
}

func newGate(t *testing.T) *gate {
	t.Helper()
	server, err := sandboxserver.New(sandboxserver.Config{MinIsolation: sandboxserver.IsolationProcess})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	g := &gate{}
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		held, opened := g.held, g.opened
		g.mu.Unlock()
		method, path, _ := strings.Cut(held, " ")
		if held != "" && r.Method == method && strings.HasSuffix(r.URL.Path, path) {
			select {
			case <-opened:
			case <-r.Context().Done():
			}
		}
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(h.Close)
	g.env = []string{"LANGSMITH_ENDPOINT=" + h.URL, "LANGSMITH_API_KEY=" + server.APIKey()}
	return g
}

// hold holds back requests, until open is called.
func (g *gate) hold(what string) (open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held, g.opened = what, make(chan struct{})
	return sync.OnceFunc(func() { close(g.opened) })
}

// TestProgress: what takes its time says so on a terminal, and takes that away.
func TestProgress(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	for _, tt := range []struct{ line, held, shown string }{
		{"create --name box", "POST /boxes", "creating a sandbox"},
		{"snapshot capture box team/kept", "POST /boxes/box/snapshot", "capturing box"},
		{"stop box", "POST /boxes/box/stop", "stopping box"},
		{"start box", "POST /boxes/box/start", "starting box"},
		{"wait box", "GET /boxes/box", "waiting for box"},
		{"volume create data", "POST /volumes", "creating a volume"},
		{"volume rm data", "DELETE /volumes/data", "deleting data"},
		{"rm box", "DELETE /boxes/box", "deleting box"},
		{"run -- echo done", "POST /boxes", "creating a sandbox"},
		{"run -- echo done", "DELETE ", "deleting sandbox"},
	} {
		open := g.hold(tt.held)
		sc := openScreenWith(t, g.env, strings.Fields(tt.line)...)
		sc.expect(tt.shown)
		open()
		sc.expect(wiped)
		sc.ends(0)
		if strings.Contains(string(sc.seen), tt.shown) {
			t.Errorf("sandbox %s: shown after its end: %q", tt.line, sc.seen)
		}
	}
}

// TestNoProgress: none where it would be taken for output, or cannot be shown.
func TestNoProgress(t *testing.T) {
	t.Parallel()
	m, s, err := terminal.Open(terminal.Size{Cols: 100, Rows: 30})
	if err != nil {
		t.Fatal(err)
	}
	master, slave := os.NewFile(uintptr(m), "master"), os.NewFile(uintptr(s), "slave")
	t.Cleanup(func() { master.Close(); slave.Close() })
	dumb := &app{err: slave, getenv: func(string) string { return "dumb" }}
	piped := &app{err: io.Discard, getenv: func(string) string { return "" }}
	for _, a := range []*app{dumb, piped} {
		if a.showsProgress() || a.newBar(false).app != nil {
			t.Error("shows progress")
		}
		if w, stop := a.spinAround(a.err, "what"); w != a.err {
			t.Errorf("writes through %T", w)
		} else {
			stop()
		}
	}
}

// TestProgressAndLog: the log has whole lines, and the spinner those in between.
func TestProgressAndLog(t *testing.T) {
	t.Parallel()
	sc := newScreen(t, nil, "version")
	a := &app{err: sc.slave, getenv: func(string) string { return "" }}
	log, stop := a.spinAround(sc.slave, "building team/app")
	sc.expect("building team/app")
	if _, err := io.WriteString(log, "step 1\n"); err != nil {
		t.Fatal(err)
	}
	sc.expect(wiped + "step 1\r\n")
	sc.expect("building team/app")
	a.say("warning")
	sc.expect(wiped + "sandbox: warning\r\n")
	sc.expect("building team/app")
	if _, err := io.WriteString(log, "half a line"); err != nil {
		t.Fatal(err)
	}
	sc.expect(wiped + "half a line")
	s, ok := log.(*spinner)
	if !ok {
		t.Fatalf("writes through %T", log)
	}
	s.turn(time.Now().Add(time.Hour))
	if _, err := io.WriteString(log, " ends\n"); err != nil {
		t.Fatal(err)
	}
	sc.expect(" ends\r\n")
	if strings.Contains(string(sc.seen), "building") {
		t.Errorf("in the middle of a line: %q", sc.seen)
	}
	stop()
}

// TestStreamProgress: write and cat say how far they are, and how much there is
// where that is known.
func TestStreamProgress(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	openScreenWith(t, g.env, "create", "--name", "box").ends(0)
	sc := newScreen(t, g.env, "write", "box:big")
	sc.cmd.Stdin = nil
	in, err := sc.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sc.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	const chunks, chunk = 400, 16 << 10
	go func() {
		defer in.Close()
		pace := time.NewTicker(time.Millisecond)
		defer pace.Stop()
		for range chunks {
			<-pace.C
			if _, err := in.Write(make([]byte, chunk)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	sc.expect("big ")
	sc.expect("B\x1b[K")
	sc.ends(0)

	sc = newScreen(t, g.env, "cat", "box:big")
	sc.cmd.Stdout = nil
	out, err := sc.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sc.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	drained := make(chan int)
	go func() {
		n := 0
		pace := time.NewTicker(time.Millisecond)
		defer pace.Stop()
		for buf := make([]byte, chunk); ; <-pace.C {
			m, err := out.Read(buf)
			if n += m; err != nil {
				drained <- n
				return
			}
		}
	}()
	sc.expect(" of 6.6 MB, ")
	if n := <-drained; n != chunks*chunk {
		t.Errorf("%d bytes, want %d", n, chunks*chunk)
	}
	sc.ends(0)
}
