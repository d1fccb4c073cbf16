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

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestWireTimeouts: the server waits as long as the context allows.
func TestWireTimeouts(t *testing.T) {
	t.Parallel()
	volume := func(ctx context.Context, c *sandboxclient.Client) {
		_, _ = c.Volumes.Create(ctx, &sandboxclient.CreateVolume{Name: "v", Size: "1Gi"})
	}
	pool := func(ctx context.Context, c *sandboxclient.Client) {
		_, _ = c.Pools.Create(ctx, &sandboxclient.CreatePool{Name: "p", TemplateName: "t", Replicas: 1})
	}
	sandbox := func(ctx context.Context, c *sandboxclient.Client) { _, _ = c.Create(ctx, nil) }
	execute := func(ctx context.Context, c *sandboxclient.Client) { _, _ = box(c).Execute(ctx, "true", nil) }
	for _, tt := range []struct {
		name     string
		call     func(context.Context, *sandboxclient.Client)
		deadline time.Duration
		want     int
	}{
		{"volume", volume, 0, 60},
		{"volume", volume, 100 * time.Second, 100},
		{"volume", volume, time.Second, 5},
		{"volume", volume, time.Hour, 300},
		{"pool", pool, 0, 30},
		{"pool", pool, time.Hour, 600},
		{"sandbox", sandbox, 0, 30},
		{"sandbox", sandbox, 90 * time.Second, 90},
		{"sandbox", sandbox, 1500 * time.Millisecond, 1},
		{"execute", execute, 0, 60},
		{"execute", execute, 10 * time.Second, 10},
		{"execute", execute, time.Hour, 300},
	} {
		t.Run(fmt.Sprint(tt.name, tt.deadline), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &fake{answer: always(200, `{"name":"a"}`)}
				ctx := t.Context()
				if tt.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				tt.call(ctx, client(t, f))
				if want := fmt.Sprintf(`"timeout":%d`, tt.want); !strings.Contains(f.requests()[0].body, want) {
					t.Errorf("sent %s, want %s", f.requests()[0].body, want)
				}
			})
		})
	}
}

// TestAttemptIsBounded: a server that never answers does not hold a caller
// without a deadline for ever.
func TestAttemptIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(_ int, req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		}}
		start := time.Now()
		_, err := client(t, f).Get(t.Context(), "box1")
		if !errors.Is(err, sandboxclient.ErrTimeout) || time.Since(start) != 30*time.Second {
			t.Errorf("error %v after %s", err, time.Since(start))
		}
		start = time.Now()
		_, err = client(t, f).Create(t.Context(), nil)
		if !errors.Is(err, sandboxclient.ErrOutcomeUnknown) || time.Since(start) != 60*time.Second {
			t.Errorf("error %v after %s", err, time.Since(start))
		}
	})
}

// TestExecuteIsNeverRepeated once it was sent; before, it is.
func TestExecuteIsNeverRepeated(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 500, 502, 503, 504} {
		f := &fake{answer: always(status, "{}")}
		_, err := box(client(t, f, sandboxclient.WithRetry(sandboxclient.DefaultRetryPolicy()))).Execute(t.Context(), "true", nil)
		if err == nil || len(f.requests()) != 1 {
			t.Errorf("%d: %d requests, error %v", status, len(f.requests()), err)
		}
	}
}
