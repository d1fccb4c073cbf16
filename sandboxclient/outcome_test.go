package sandboxclient_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestLostAnswers: a request that was sent and not answered says so, unless it
// only reads; one that was not sent never does.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for _, call := range every {
		t.Run(call.op, func(t *testing.T) {
			t.Parallel()
			lost := &fake{answer: func(int, *http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }}
			err := call.do(t.Context(), client(t, lost))
			if !errors.Is(err, sandboxclient.ErrConnection) || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("error %v, want a connection error with its cause", err)
			}
			if got := errors.Is(err, sandboxclient.ErrOutcomeUnknown); got != call.effect {
				t.Errorf("outcome unknown after a lost answer: %t, want %t", got, call.effect)
			}
			refused := &fake{answer: func(int, *http.Request) (*http.Response, error) {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
			}}
			err = call.do(t.Context(), client(t, refused))
			if !errors.Is(err, sandboxclient.ErrConnection) || errors.Is(err, sandboxclient.ErrOutcomeUnknown) {
				t.Errorf("error %v, want a connection error whose outcome is known", err)
			}
		})
	}
}

// TestEndedBefore: nothing is sent with a context that has ended, and nothing
// is unknown then.
func TestEndedBefore(t *testing.T) {
	t.Parallel()
	for _, call := range every {
		t.Run(call.op, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			f := &fake{answer: always(200, "{}")}
			err := call.do(ctx, client(t, f))
			if !errors.Is(err, context.Canceled) || errors.Is(err, sandboxclient.ErrOutcomeUnknown) {
				t.Errorf("error %v, want a cancelled context and a known outcome", err)
			}
			if n := len(f.requests()); n != 0 {
				t.Errorf("%d requests were sent", n)
			}
		})
	}
}

// TestEndedInPause: a refusal that was going to be repeated is no lost answer.
func TestEndedInPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		f := &fake{answer: func(int, *http.Request) (*http.Response, error) {
			time.AfterFunc(time.Second, cancel)
			resp := reply(http.StatusServiceUnavailable, "{}")
			resp.Header.Set("Retry-After", "30")
			return resp, nil
		}}
		_, err := client(t, f, sandboxclient.WithRetry(sandboxclient.DefaultRetryPolicy())).Ephemeral(ctx, nil)
		if !errors.Is(err, context.Canceled) || errors.Is(err, sandboxclient.ErrOutcomeUnknown) {
			t.Errorf("error %v, want a cancelled context and a known outcome", err)
		}
		if seen := f.requests(); len(seen) != 1 || seen[0].method != http.MethodPost {
			t.Errorf("requests %v, want the create alone", seen)
		}
	})
}

// TestCutAnswers: an answer that ends too early is a lost connection, not a
// server that talks nonsense, and one that stalls is late.
func TestCutAnswers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		rest func(context.Context) error // what the reading of the body ends with
		want error
	}{
		"cut":   {func(context.Context) error { return io.ErrUnexpectedEOF }, sandboxclient.ErrConnection},
		"reset": {func(context.Context) error { return &net.OpError{Op: "read", Err: errors.New("connection reset")} }, sandboxclient.ErrConnection},
		"stalled": {func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}, sandboxclient.ErrTimeout},
	} {
		for _, op := range []string{"get sandbox", "create sandbox", "execute in sandbox"} {
			t.Run(name+" "+op, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					f := &fake{answer: func(_ int, req *http.Request) (*http.Response, error) {
						return replyStream(200, io.MultiReader(strings.NewReader(`{"na`), failing(func() error { return tt.rest(req.Context()) }))), nil
					}}
					call := callTo(t, op)
					err := call.do(t.Context(), client(t, f))
					if !errors.Is(err, tt.want) || !errors.Is(err, sandboxclient.ErrConnection) || errors.Is(err, sandboxclient.ErrProtocol) {
						t.Errorf("error %v matches %v: %t, ErrConnection: %t, ErrProtocol: %t", err, tt.want,
							errors.Is(err, tt.want), errors.Is(err, sandboxclient.ErrConnection), errors.Is(err, sandboxclient.ErrProtocol))
					}
					if got := errors.Is(err, sandboxclient.ErrOutcomeUnknown); got != call.effect {
						t.Errorf("outcome unknown: %t, want %t", got, call.effect)
					}
				})
			})
		}
	}
}

// failing is a reader that has nothing but an error.
type failing func() error

func (f failing) Read([]byte) (int, error) { return 0, f() }

// TestNonsense: JSON that does not fit is a server that talks nonsense, also
// where it is a date that is none.
func TestNonsense(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"created_at":"yesterday"}`, `{"created_at":7}`, `{"name":[]}`, `[]`, `{} {}`, `7`} {
		_, err := client(t, &fake{answer: always(200, body)}).Get(t.Context(), "a")
		if !errors.Is(err, sandboxclient.ErrProtocol) || errors.Is(err, sandboxclient.ErrConnection) {
			t.Errorf("%s: error %v, want ErrProtocol alone", body, err)
		}
	}
}
