package sandboxserver

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// TestRequestsWake: requests to a stopped sandbox start it once, and are
// answered when it is there.
func TestRequestsWake(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.fake.exec = func(box *fakeBox, _ runtime.Command) (runtime.Process, error) {
		return &fakeProcess{box: box, status: &runtime.ExitStatus{}, killed: make(chan struct{})}, nil
	}
	s := b.box(map[string]any{"name": "x"})
	b.want(204, "POST", "/boxes/x/stop", nil)
	release := make(chan struct{})
	b.fake.onCreate(func(context.Context, runtime.Spec) error { <-release; return nil })
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if a := b.execute(s, map[string]any{"command": "true"}); a.status != 200 {
				t.Errorf("%d: %s", a.status, a.body)
			}
		})
	}
	eventually(t, "it starts", func() bool { return b.status("x").Status == gen.StatusProvisioning })
	close(release)
	all.Wait()
	if specs := b.fake.started(); len(specs) != 2 {
		t.Errorf("%d starts", len(specs))
	}
	if got := decode[gen.Sandbox](t, b.want(200, "GET", "/boxes/x", nil)); got.Status != gen.StatusReady || !got.StoppedAt.IsZero() {
		t.Errorf("%+v", got)
	}
}

func TestStreamWakes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.box(map[string]any{"name": "x"})
	b.want(204, "POST", "/boxes/x/stop", nil)
	at := httptest.NewServer(b.server)
	defer at.Close()
	url := strings.Replace(at.URL, "http", "ws", 1) + "/dp/" + s.ID + "/execute/ws"
	conn, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPHeader: map[string][]string{"X-Api-Key": {testKey}}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if got := b.status("x").Status; got != gen.StatusReady {
		t.Errorf("it is %s", got)
	}
}

func TestWakeFailures(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Limits.CPUMillicores = 1000 })
	s := b.box(map[string]any{"name": "x", "vcpus": 1})
	b.want(204, "POST", "/boxes/x/stop", nil)
	run := func() answer { return b.execute(s, map[string]any{"command": "true"}) }
	b.box(map[string]any{"name": "other", "vcpus": 1})
	b.refused(run(), 429, codeQuota, "cpu")
	b.want(204, "DELETE", "/boxes/other", nil)
	b.fake.onCreate(func(context.Context, runtime.Spec) error { return syscall.ENOSPC })
	b.refused(run(), 503, codeUnavailable, "no room")
	// One that failed says so, until somebody starts it.
	b.fake.onCreate(nil)
	b.refused(run(), 400, codeNotReady, "failed")
	// A client that goes leaves the start alone.
	b.want(202, "POST", "/boxes/x/start", nil)
	eventually(t, "it is ready", func() bool { return b.status("x").Status == gen.StatusReady })
	b.want(204, "POST", "/boxes/x/stop", nil)
	release := make(chan struct{})
	b.fake.onCreate(func(ctx context.Context, _ runtime.Spec) error {
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return errors.New("the start ended with the request")
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan answer)
	go func() {
		gone <- b.do(request("GET", dataplane(s)+"/download?path=f", nil).WithContext(ctx))
	}()
	eventually(t, "it starts", func() bool { return b.status("x").Status == gen.StatusProvisioning })
	cancel()
	if a := <-gone; a.status != 503 {
		t.Errorf("%d: %s", a.status, a.body)
	}
	close(release)
	eventually(t, "it is ready", func() bool { return b.status("x").Status == gen.StatusReady })
}

// TestDeleteDuringCapture: the end of a sandbox is that of its capture.
func TestDeleteDuringCapture(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.box(map[string]any{"name": "x"})
	b.fake.capture = func(context.Context, runtime.CaptureSpec) (runtime.Captured, error) {
		return runtime.Captured{}, runtime.ErrClosed
	}
	if s := b.captured("x", map[string]any{"name": "s"}); s.Status != gen.SnapshotFailed || !strings.Contains(s.StatusMessage, "deleted") {
		t.Errorf("%+v", s)
	}
}
