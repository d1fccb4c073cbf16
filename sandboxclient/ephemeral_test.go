package sandboxclient_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestLostCreate: when the answer to a create is lost, the sandbox is deleted
// by the name chosen beforehand; when it was a refusal, nothing is.
func TestLostCreate(t *testing.T) {
	t.Parallel()
	cut := func() (*http.Response, error) { return nil, io.ErrUnexpectedEOF }
	status := func(code int, body string) func() (*http.Response, error) {
		return func() (*http.Response, error) { return reply(code, body), nil }
	}
	tests := map[string]struct {
		create  func() (*http.Response, error)
		missing int // deletes that find nothing, as the create is on its way
		deletes int
	}{
		"cut off":           {create: cut, deletes: 1},
		"cut off, arriving": {create: cut, missing: 2, deletes: 3},
		"never arrived":     {create: cut, missing: 100, deletes: 6},
		"no JSON":           {create: status(201, "<"), deletes: 1},
		"server error":      {create: status(500, "{}"), deletes: 1},
		"gateway":           {create: status(504, "{}"), deletes: 1},
		"bad gateway":       {create: status(502, "{}"), deletes: 1},
		"name in use":       {create: status(409, "{}")},
		"invalid":           {create: status(422, "{}")},
		"no capacity":       {create: status(503, "{}")},
		"quota":             {create: status(429, "{}")},
		"not in time":       {create: status(408, "{}")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				deletes := 0
				f := &fake{answer: func(_ int, req *http.Request) (*http.Response, error) {
					if req.Method == http.MethodPost {
						return tt.create()
					}
					deletes++
					if deletes <= tt.missing {
						return reply(404, "{}"), nil
					}
					return reply(204, ""), nil
				}}
				if _, err := client(t, f).Ephemeral(t.Context(), nil); err == nil {
					t.Error("no error")
				}
				if deletes != tt.deletes {
					t.Errorf("%d deletes, want %d", deletes, tt.deletes)
				}
				for _, r := range f.requests()[1:] {
					_, name, _ := strings.Cut(r.path, "/boxes/")
					if r.method != http.MethodDelete || !strings.Contains(f.requests()[0].body, `"name":"`+name+`"`) {
						t.Errorf("%s %s after the create %s", r.method, r.path, f.requests()[0].body)
					}
				}
			})
		})
	}
}

func created(_ int, req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodDelete {
		return reply(204, ""), nil
	}
	return reply(201, `{"name":"box1","status":"ready"}`), nil
}

func deletes(f *fake) (paths []string) {
	for _, r := range f.requests() {
		if r.method == http.MethodDelete {
			paths = append(paths, r.path)
		}
	}
	return paths
}

func TestCloseDeletesOnce(t *testing.T) {
	t.Parallel()
	f := &fake{answer: created}
	ctx, cancel := context.WithCancel(sandboxclient.ContextWithHeader(t.Context(), "X-Trace", "t1"))
	e, err := client(t, f).Ephemeral(ctx, &sandboxclient.CreateSandbox{Name: "box1"})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(deletes(f)); n != 1 {
		t.Errorf("%d deletes, want 1", n)
	}
	seen := f.requests()
	if seen[0].header.Get("X-Trace") != "t1" || seen[1].header.Get("X-Trace") != "" {
		t.Error("the header of the create must be on the create alone")
	}
}

func TestCloseFailsAndIsRepeated(t *testing.T) {
	t.Parallel()
	failed := false
	f := &fake{answer: func(n int, req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodDelete && !failed {
			failed = true
			return reply(500, "{}"), nil
		}
		return created(n, req)
	}}
	e, err := client(t, f).Ephemeral(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); !errors.Is(err, sandboxclient.ErrServer) {
		t.Errorf("first close: %v", err)
	}
	if err := e.Close(); err != nil || len(deletes(f)) != 2 {
		t.Errorf("second close: %v after %v", err, deletes(f))
	}
}

func TestKeepCallsDeletionOff(t *testing.T) {
	t.Parallel()
	f := &fake{answer: created}
	e, err := client(t, f).Ephemeral(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if kept := e.Keep(); kept.Name() != "box1" {
		t.Errorf("kept %q", kept.Name())
	}
	if err := e.Close(); err != nil || len(deletes(f)) != 0 {
		t.Errorf("close: %v after %v", err, deletes(f))
	}
}

func TestCloseAfterRename(t *testing.T) {
	t.Parallel()
	f := &fake{answer: func(n int, req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodPatch {
			return reply(200, `{"name":"new"}`), nil
		}
		return created(n, req)
	}}
	e, err := client(t, f).Ephemeral(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Update(t.Context(), &sandboxclient.SandboxUpdate{Name: "new"}); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil || deletes(f)[0] != "/v2/sandboxes/boxes/new" {
		t.Errorf("close: %v after %v", err, deletes(f))
	}
}

// TestUseAfterGoexit: also a test that fails inside deletes its sandbox.
func TestUseAfterGoexit(t *testing.T) {
	t.Parallel()
	f := &fake{answer: created}
	c := client(t, f)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.Use(t.Context(), nil, func(context.Context, *sandboxclient.Sandbox) error {
			runtime.Goexit()
			return nil
		})
	}()
	<-done
	if n := len(deletes(f)); n != 1 {
		t.Errorf("%d deletes, want 1", n)
	}
}

// TestEphemeralOfFailedSandbox: one that cannot be used is not handed out.
func TestEphemeralOfFailedSandbox(t *testing.T) {
	t.Parallel()
	f := &fake{answer: func(n int, req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodDelete {
			return created(n, req)
		}
		return reply(200, `{"name":"box1","status":"failed","status_message":"no room"}`), nil
	}}
	_, err := client(t, f).Ephemeral(t.Context(), nil)
	wait, ok := errors.AsType[*sandboxclient.WaitError](err)
	if !ok || !errors.Is(err, sandboxclient.ErrProvision) || wait.StatusMessage != "no room" {
		t.Errorf("error %v", err)
	}
	if n := len(deletes(f)); n != 1 {
		t.Errorf("%d deletes, want 1", n)
	}
}
