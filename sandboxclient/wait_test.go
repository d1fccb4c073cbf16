package sandboxclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// becoming answers status requests with one state after the other, the last one
// for ever, and all else with a sandbox of that state.
func becoming(states ...string) *fake {
	asked := 0
	return &fake{answer: func(_ int, req *http.Request) (*http.Response, error) {
		state := states[max(0, min(asked, len(states))-1)]
		if strings.HasSuffix(req.URL.Path, "/status") {
			state = states[min(asked, len(states)-1)]
			asked++
		}
		return reply(200, fmt.Sprintf(`{"name":"a","status":%q,"status_message":"because","dataplane_url":"https://r.test/new"}`, state)), nil
	}}
}

func asks(f *fake) (n int) {
	for _, r := range f.requests() {
		if strings.HasSuffix(r.path, "/status") {
			n++
		}
	}
	return n
}

// TestWaitReady: the state is asked for at the interval until something ends
// the wait.
func TestWaitReady(t *testing.T) {
	t.Parallel()
	failed := &sandboxclient.WaitError{ResourceType: "sandbox", Name: "a", LastStatus: "failed", StatusMessage: "because"}
	late := func(last sandboxclient.Status) *sandboxclient.WaitError {
		return &sandboxclient.WaitError{ResourceType: "sandbox", Name: "a", LastStatus: last, StatusMessage: "because"}
	}
	tests := map[string]struct {
		states   []string
		opts     *sandboxclient.WaitOptions
		deadline time.Duration
		want     *sandboxclient.WaitError
		kinds    string
		asks     int
		took     time.Duration
	}{
		"at once":              {states: []string{"ready"}, asks: 1},
		"after a while":        {states: []string{"provisioning", "provisioning", "ready"}, asks: 3, took: 2 * time.Second},
		"stopped, starting":    {states: []string{"stopped", "hibernating", "ready"}, asks: 3, took: 2 * time.Second},
		"own interval":         {states: []string{"provisioning", "ready"}, opts: &sandboxclient.WaitOptions{Interval: time.Minute}, asks: 2, took: time.Minute},
		"failed":               {states: []string{"provisioning", "failed"}, want: failed, kinds: "Provision", asks: 2, took: time.Second},
		"timeout":              {states: []string{"provisioning"}, opts: &sandboxclient.WaitOptions{Timeout: 2500 * time.Millisecond}, want: late("provisioning"), kinds: "Timeout", asks: 4, took: 2500 * time.Millisecond},
		"asked once":           {states: []string{"provisioning"}, opts: &sandboxclient.WaitOptions{Timeout: -1}, want: late("provisioning"), kinds: "Timeout", asks: 1},
		"asked once, ready":    {states: []string{"ready"}, opts: &sandboxclient.WaitOptions{Timeout: -1}, asks: 1},
		"ready at the last":    {states: []string{"stopped", "ready"}, opts: &sandboxclient.WaitOptions{Timeout: time.Second}, asks: 2, took: time.Second},
		"context ends":         {states: []string{"stopped"}, deadline: 1500 * time.Millisecond, want: late("stopped"), kinds: "Timeout", asks: 2, took: 1500 * time.Millisecond},
		"context before limit": {states: []string{"stopped"}, opts: &sandboxclient.WaitOptions{Timeout: time.Hour}, deadline: 1500 * time.Millisecond, want: late("stopped"), kinds: "Timeout", asks: 2, took: 1500 * time.Millisecond},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if tt.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				f := becoming(tt.states...)
				sb := client(t, f).FromInfo(sandboxclient.Info{Name: "a", Status: sandboxclient.StatusProvisioning})
				start := time.Now()
				err := sb.WaitReady(ctx, tt.opts)
				if took := time.Since(start); took != tt.took || asks(f) != tt.asks {
					t.Errorf("%d requests in %s, want %d in %s", asks(f), took, tt.asks, tt.took)
				}
				if tt.want == nil {
					if info := sb.Info(); err != nil || info.Status != sandboxclient.StatusReady || info.DataplaneURL != "https://r.test/new" {
						t.Errorf("error %v, sandbox %+v; want it ready and refreshed", err, info)
					}
					return
				}
				wait, ok := errors.AsType[*sandboxclient.WaitError](err)
				if !ok {
					t.Fatalf("error %#v, want a WaitError", err)
				}
				if diff := cmp.Diff(tt.want, wait, cmpopts.IgnoreUnexported(sandboxclient.WaitError{})); diff != "" {
					t.Errorf("fields (-want +got):\n%s", diff)
				}
				if got := matched(err); got != tt.kinds || errors.Is(err, context.DeadlineExceeded) != (tt.deadline > 0) {
					t.Errorf("%v matches %q, want %q", err, got, tt.kinds)
				}
			})
		})
	}
}

// TestWaitErrorText: the reason, and the last state where it says more.
func TestWaitErrorText(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for state, want := range map[string]string{
			"failed":  `wait for sandbox "a": provisioning failed: because`,
			"stopped": `wait for sandbox "a": timed out: because (last status stopped)`,
		} {
			err := client(t, becoming(state)).FromInfo(sandboxclient.Info{Name: "a"}).WaitReady(t.Context(), &sandboxclient.WaitOptions{Timeout: time.Second})
			if err == nil || err.Error() != want {
				t.Errorf("error %q, want %q", err, want)
			}
		}
	})
}

// TestWaitIsCancelled at once, in a pause and in a request.
func TestWaitIsCancelled(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]*fake{
		"in a pause": becoming("provisioning"),
		"in a request": {answer: func(_ int, req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(100*time.Millisecond, cancel)
				start := time.Now()
				err := client(t, f).FromInfo(sandboxclient.Info{Name: "a"}).WaitReady(ctx, nil)
				if !errors.Is(err, context.Canceled) || time.Since(start) != 100*time.Millisecond {
					t.Errorf("error %v after %s", err, time.Since(start))
				}
			})
		})
	}
}

// TestWaitEndsWithAnError of a request, of any: a sandbox that is gone does not
// become ready.
func TestWaitEndsWithAnError(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]*fake{
		"status": {answer: always(404, "{}")},
		"refresh": {answer: func(_ int, req *http.Request) (*http.Response, error) {
			if strings.HasSuffix(req.URL.Path, "/status") {
				return reply(200, `{"status":"ready"}`), nil
			}
			return reply(404, "{}"), nil
		}},
	} {
		err := client(t, f).FromInfo(sandboxclient.Info{Name: "a"}).WaitReady(t.Context(), nil)
		if api, ok := errors.AsType[*sandboxclient.APIError](err); !ok || !errors.Is(err, sandboxclient.ErrNotFound) {
			t.Errorf("%s: error %v, want the request's (%v)", name, err, api)
		}
	}
}

// TestStartWaits until the sandbox is ready, and asks for nothing when it could
// not be started.
func TestStartWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := becoming("provisioning", "ready")
		sb := client(t, f).FromInfo(sandboxclient.Info{Name: "a", Status: sandboxclient.StatusStopped})
		if err := sb.Start(t.Context(), nil); err != nil || sb.Info().Status != sandboxclient.StatusReady {
			t.Errorf("started: %v, %+v", err, sb.Info())
		}
		if first := f.requests()[0]; first.method != http.MethodPost || first.path != "/v2/sandboxes/boxes/a/start" || asks(f) != 2 {
			t.Errorf("requests %v", f.requests())
		}
		refusing := &fake{answer: always(400, `{"detail":"is ready"}`)}
		err := client(t, refusing).FromInfo(sandboxclient.Info{Name: "a"}).Start(t.Context(), nil)
		if api, ok := errors.AsType[*sandboxclient.APIError](err); !ok || api.StatusCode != http.StatusBadRequest || len(refusing.requests()) != 1 {
			t.Errorf("error %v after %d requests", err, len(refusing.requests()))
		}
	})
}

// TestHandleFollows what the server says of the sandbox.
func TestHandleFollows(t *testing.T) {
	t.Parallel()
	f := &fake{answer: func(_ int, req *http.Request) (*http.Response, error) {
		switch req.Method + strings.TrimPrefix(req.URL.Path, "/v2/sandboxes/boxes/") {
		case "PATCHa":
			return reply(200, `{"name":"b","status":"ready","dataplane_url":"https://r.test/b"}`), nil
		case "GETb":
			return reply(200, `{"status":"ready","template_name":"t","dataplane_url":"https://r.test/b"}`), nil
		case "GETb/status":
			return reply(200, `{"status":"failed","status_message":"because"}`), nil
		case "POSTb/stop", "DELETEb":
			return reply(204, ""), nil
		}
		return reply(404, "{}"), nil
	}}
	sb := client(t, f).FromInfo(sandboxclient.Info{Name: "a"})
	if sb.Info().Status != sandboxclient.StatusReady {
		t.Errorf("status %q of a server that names none, want ready", sb.Info().Status)
	}
	if info, err := sb.Update(t.Context(), &sandboxclient.SandboxUpdate{Name: "b"}); err != nil || info.Name != "b" || sb.Name() != "b" {
		t.Errorf("update: %+v, %v", info, err)
	}
	if info, err := sb.Refresh(t.Context()); err != nil || info.Name != "b" || info.TemplateName != "t" {
		t.Errorf("refresh: %+v, %v; want the name to stay", info, err)
	}
	if _, err := sb.Status(t.Context()); err != nil || sb.Info().Status != "failed" || sb.Info().StatusMessage != "because" {
		t.Errorf("status: %+v, %v", sb.Info(), err)
	}
	if err := sb.Stop(t.Context()); err != nil || sb.Info().Status != sandboxclient.StatusStopped || sb.Info().DataplaneURL == "" {
		t.Errorf("stop: %+v, %v; want it stopped, and reachable", sb.Info(), err)
	}
	if err := sb.Delete(t.Context()); err != nil {
		t.Errorf("delete: %v", err)
	}
	gone := client(t, &fake{answer: always(404, "{}")}).FromInfo(sandboxclient.Info{Name: "a", Status: "ready"})
	_, updateErr := gone.Update(t.Context(), nil)
	_, refreshErr := gone.Refresh(t.Context())
	for _, err := range []error{updateErr, refreshErr, gone.Stop(t.Context())} {
		if !errors.Is(err, sandboxclient.ErrNotFound) {
			t.Errorf("error %v, want not found", err)
		}
	}
	if gone.Info().Status != "ready" {
		t.Errorf("a failed call changed the handle to %+v", gone.Info())
	}
}
