package sandboxclient_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestCreateCancelledOnItsWay: the sandbox may be there, and is deleted although
// the context has ended.
func TestCreateCancelledOnItsWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(sandboxclient.ContextWithHeader(t.Context(), "X-Trace", "t1"))
		f := &fake{answer: func(n int, req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodPost {
				cancel()
				<-req.Context().Done()
				return nil, req.Context().Err()
			}
			if req.Context().Err() != nil {
				t.Error("the deletion has the cancelled context")
			}
			return created(n, req)
		}}
		_, err := client(t, f).Ephemeral(ctx, nil)
		if !errors.Is(err, context.Canceled) || !errors.Is(err, sandboxclient.ErrOutcomeUnknown) {
			t.Errorf("error %v, want cancelled and unknown", err)
		}
		if len(deletes(f)) != 1 {
			t.Fatalf("deletes %v, want one", deletes(f))
		}
		if seen := f.requests(); seen[0].header.Get("X-Trace") != "t1" || seen[1].header.Get("X-Trace") != "" {
			t.Error("the header of the create must be on the create alone")
		}
	})
}

// TestCreateNotSent: nothing is deleted that cannot be there.
func TestCreateNotSent(t *testing.T) {
	t.Parallel()
	f := &fake{answer: func(int, *http.Request) (*http.Response, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}}
	c := client(t, f)
	_, err := c.Ephemeral(t.Context(), nil)
	_, invalid := c.Ephemeral(t.Context(), &sandboxclient.CreateSandbox{TTLSeconds: new(7)})
	if !errors.Is(err, sandboxclient.ErrConnection) || !errors.Is(invalid, sandboxclient.ErrInvalid) || len(f.requests()) != 1 {
		t.Errorf("%d requests, errors %v and %v", len(f.requests()), err, invalid)
	}
}

// TestLostCreateAndDelete: both errors are returned, so that the sandbox that
// may be left is known by its name.
func TestLostCreateAndDelete(t *testing.T) {
	t.Parallel()
	f := &fake{answer: func(_ int, req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodPost {
			return nil, io.ErrUnexpectedEOF
		}
		return reply(403, `{"detail":"may create only"}`), nil
	}}
	_, err := client(t, f).Ephemeral(t.Context(), nil)
	if !errors.Is(err, sandboxclient.ErrOutcomeUnknown) || !errors.Is(err, sandboxclient.ErrForbidden) {
		t.Fatalf("error %v, want the create's and the delete's", err)
	}
	_, name, _ := strings.Cut(deletes(f)[0], "/boxes/")
	if !strings.Contains(err.Error(), `delete sandbox "`+name+`"`) {
		t.Errorf("error %q does not name %s", err, name)
	}
}

// TestNamesAreChosen anew for each sandbox, and kept to what all servers take.
func TestNamesAreChosen(t *testing.T) {
	t.Parallel()
	f := &fake{answer: func(int, *http.Request) (*http.Response, error) { return reply(201, `{"status":"ready"}`), nil }}
	c := client(t, f)
	names := map[string]bool{}
	for range 50 {
		e, err := c.Ephemeral(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if name := e.Name(); !strings.HasPrefix(name, "ephemeral-") || len(name) > 63 || strings.ToLower(name) != name {
			t.Errorf("name %q", name)
		}
		names[e.Name()] = true
	}
	if len(names) != 50 {
		t.Errorf("%d names for 50 sandboxes", len(names))
	}
	e, err := c.Ephemeral(t.Context(), &sandboxclient.CreateSandbox{Name: "mine"})
	if err != nil || e.Name() != "mine" {
		t.Errorf("%v, %v; want the caller's own name", e, err)
	}
}

// TestCloseOfWhatIsGone is a success, and asks once.
func TestCloseOfWhatIsGone(t *testing.T) {
	t.Parallel()
	f := &fake{answer: func(n int, req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodDelete {
			return reply(404, "{}"), nil
		}
		return created(n, req)
	}}
	e, err := client(t, f).Ephemeral(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(e.Close(), e.Close()); err != nil || len(deletes(f)) != 1 {
		t.Errorf("error %v after %d deletes", err, len(deletes(f)))
	}
}

// TestCloseIsBounded: a server that hangs holds nobody for ever, and the error
// says that the sandbox may be left.
func TestCloseIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(n int, req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodDelete {
				<-req.Context().Done()
				return nil, req.Context().Err()
			}
			return created(n, req)
		}}
		e, err := client(t, f, sandboxclient.WithRequestTimeout(0)).Ephemeral(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		err = e.Close()
		if took := time.Since(start); took != 30*time.Second || !errors.Is(err, sandboxclient.ErrTimeout) || !errors.Is(err, sandboxclient.ErrOutcomeUnknown) {
			t.Errorf("error %v after %s", err, took)
		}
	})
}

// TestConcurrentCloseAndKeep: whichever is first wins, and both agree.
func TestConcurrentCloseAndKeep(t *testing.T) {
	t.Parallel()
	for range 20 {
		f := &fake{answer: created}
		e, err := client(t, f).Ephemeral(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { e.Keep() })
		wg.Go(func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		if n := len(deletes(f)); n > 1 {
			t.Errorf("%d deletes", n)
		}
	}
}

// TestUsePanic: the sandbox is deleted and the panic goes on, with its value.
func TestUsePanic(t *testing.T) {
	t.Parallel()
	f := &fake{answer: created}
	c := client(t, f)
	errBoom := errors.New("boom")
	func() {
		defer func() {
			if got := recover(); got != errBoom { //nolint:errorlint // the very value
				t.Errorf("recovered %v, want %v", got, errBoom)
			}
		}()
		_ = c.Use(t.Context(), nil, func(context.Context, *sandboxclient.Sandbox) error { panic(errBoom) })
	}()
	if n := len(deletes(f)); n != 1 {
		t.Errorf("%d deletes, want 1", n)
	}
}

// TestUseJoinsErrors of the function and of the deletion.
func TestUseJoinsErrors(t *testing.T) {
	t.Parallel()
	errOwn := errors.New("own")
	for _, tt := range []struct {
		own    error
		status int
		want   string // sentinels
	}{{nil, 204, ""}, {errOwn, 204, ""}, {nil, 500, "Server"}, {errOwn, 500, "Server"}, {errOwn, 404, ""}} {
		f := &fake{answer: func(n int, req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodDelete {
				return reply(tt.status, ""), nil
			}
			return created(n, req)
		}}
		err := client(t, f).Use(t.Context(), nil, func(_ context.Context, sb *sandboxclient.Sandbox) error {
			if sb.Name() != "box1" {
				t.Errorf("the function got %q", sb.Name())
			}
			return tt.own
		})
		if matched(err) != tt.want || errors.Is(err, errOwn) != (tt.own != nil) {
			t.Errorf("own error %v, delete answered %d: error %v matches %q, want %q", tt.own, tt.status, err, matched(err), tt.want)
		}
	}
}

// TestUseWithoutSandbox: the function is not called.
func TestUseWithoutSandbox(t *testing.T) {
	t.Parallel()
	err := client(t, &fake{answer: always(429, `{"detail":"sandbox limit"}`)}).Use(t.Context(), nil, func(context.Context, *sandboxclient.Sandbox) error {
		t.Error("called")
		return nil
	})
	if !errors.Is(err, sandboxclient.ErrQuota) {
		t.Errorf("error %v", err)
	}
}

// TestEphemeralWaits for a server that answers before the sandbox is ready,
// unless told not to; one that does not become ready in time is deleted.
func TestEphemeralWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := becoming("provisioning", "provisioning", "ready")
		e, err := client(t, f).Ephemeral(t.Context(), nil)
		if err != nil || e.Info().Status != sandboxclient.StatusReady || asks(f) != 3 {
			t.Errorf("%v after %d requests", err, asks(f))
		}
		f = becoming("provisioning")
		e, err = client(t, f).Ephemeral(t.Context(), &sandboxclient.CreateSandbox{WaitForReady: new(false)})
		if err != nil || e.Info().Status != sandboxclient.StatusProvisioning || asks(f) != 0 {
			t.Errorf("%v after %d requests", err, asks(f))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		f = becoming("provisioning")
		_, err = client(t, f).Ephemeral(ctx, nil)
		if !errors.Is(err, sandboxclient.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) || len(deletes(f)) != 1 {
			t.Errorf("error %v after %d deletes", err, len(deletes(f)))
		}
	})
}
