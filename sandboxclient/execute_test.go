package sandboxclient_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestExecuteBody: what is sent, with nothing said and with all of it.
func TestExecuteBody(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		opts *sandboxclient.ExecuteOptions
		want map[string]any
	}{
		"nothing": {nil, map[string]any{"command": "true", "timeout": 60.0, "shell": "/bin/bash"}},
		"all": {
			&sandboxclient.ExecuteOptions{Dir: "/srv", ShellPath: "/bin/sh", Env: map[string]string{"A": "b"}, Timeout: 12 * time.Second},
			map[string]any{"command": "true", "timeout": 12.0, "shell": "/bin/sh", "cwd": "/srv", "env": map[string]any{"A": "b"}},
		},
		"rounded up":  {&sandboxclient.ExecuteOptions{Timeout: time.Millisecond}, map[string]any{"command": "true", "timeout": 1.0, "shell": "/bin/bash"}},
		"rounded up+": {&sandboxclient.ExecuteOptions{Timeout: 2*time.Second + 1}, map[string]any{"command": "true", "timeout": 3.0, "shell": "/bin/bash"}},
		"as good as for ever": {
			&sandboxclient.ExecuteOptions{Timeout: math.MaxInt64},
			map[string]any{"command": "true", "timeout": 2147483647.0, "shell": "/bin/bash"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{answer: always(200, `{"stdout":"out","stderr":"err","exit_code":3}`)}
			got, err := box(client(t, f)).Execute(t.Context(), "true", tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&sandboxclient.Result{Stdout: "out", Stderr: "err", ExitCode: 3}, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			var body map[string]any
			if err := json.Unmarshal([]byte(f.requests()[0].body), &body); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, body); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNoExitCode: one that the server does not name is not guessed to be 0.
func TestNoExitCode(t *testing.T) {
	t.Parallel()
	got, err := box(client(t, &fake{answer: always(200, `{}`)})).Execute(t.Context(), "true", nil)
	if err != nil || got.ExitCode != -1 || got.Err() == nil {
		t.Errorf("result %+v, %v; want exit code -1", got, err)
	}
}

func TestResultErr(t *testing.T) {
	t.Parallel()
	if err := (&sandboxclient.Result{Stderr: "warning"}).Err(); err != nil {
		t.Errorf("error %v of a success", err)
	}
	err := (&sandboxclient.Result{ExitCode: 137}).Err()
	if exit, ok := errors.AsType[*sandboxclient.ExitError](err); !ok || exit.Code != 137 || err.Error() != "exit status 137" {
		t.Errorf("error %v", err)
	}
}

// TestExecuteIsBounded: a request is given up ten seconds after the sandbox
// should have killed the command.
func TestExecuteIsBounded(t *testing.T) {
	t.Parallel()
	for timeout, want := range map[time.Duration]time.Duration{
		0: 70 * time.Second, 5 * time.Second: 15 * time.Second, time.Hour: time.Hour + 10*time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{answer: func(_ int, req *http.Request) (*http.Response, error) {
				<-req.Context().Done()
				return nil, req.Context().Err()
			}}
			start := time.Now()
			_, err := box(client(t, f)).Execute(t.Context(), "true", &sandboxclient.ExecuteOptions{Timeout: timeout})
			if took := time.Since(start); took != want {
				t.Errorf("%s: given up after %s, want %s", timeout, took, want)
			}
			if got := matched(err); got != "Connection OutcomeUnknown Timeout" {
				t.Errorf("%s: %v matches %q", timeout, err, got)
			}
		})
	}
}

// TestExecuteIsRepeatedBeforeItIsSent: a sandbox that is hard to reach is tried
// again, and runs the command once.
func TestExecuteIsRepeatedBeforeItIsSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(n int, _ *http.Request) (*http.Response, error) {
			if n < 2 {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
			}
			return reply(200, `{"exit_code":0}`), nil
		}}
		_, err := box(client(t, f, sandboxclient.WithRetry(sandboxclient.DefaultRetryPolicy()))).Execute(t.Context(), "true", nil)
		if err != nil || len(f.requests()) != 3 {
			t.Errorf("%d requests, error %v", len(f.requests()), err)
		}
	})
}

// TestUnreachableSandbox: the error says how often it was tried.
func TestUnreachableSandbox(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(int, *http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
		}}
		_, err := box(client(t, f, sandboxclient.WithRetry(sandboxclient.DefaultRetryPolicy()))).Execute(t.Context(), "true", nil)
		want := `execute in sandbox "box1": dial tcp: connection refused (after 4 attempts)`
		if err == nil || err.Error() != want || matched(err) != "Connection" {
			t.Errorf("error %q matches %q, want %q", err, matched(err), want)
		}
	})
}

// TestCancelledExecuteReturns at once, although the server goes on.
func TestCancelledExecuteReturns(t *testing.T) {
	t.Parallel()
	running, done := make(chan struct{}), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = json.NewDecoder(r.Body).Decode(new(any))
		close(running)
		<-r.Context().Done() // the server notices
		close(done)
	}))
	defer srv.Close()
	c, err := sandboxclient.New(sandboxclient.WithEndpoint(srv.URL), sandboxclient.WithHTTPClient(srv.Client()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-running
		cancel()
	}()
	_, err = c.FromInfo(sandboxclient.Info{Name: "a", DataplaneURL: srv.URL}).Execute(ctx, "sleep 1000", nil)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, sandboxclient.ErrOutcomeUnknown) || errors.Is(err, sandboxclient.ErrTimeout) {
		t.Errorf("error %v matches %q", err, matched(err))
	}
	<-done
}
