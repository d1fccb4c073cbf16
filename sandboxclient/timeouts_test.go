package sandboxclient_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestExplicitTimeouts: what the caller asks the server to wait is what is sent,
// whatever the context allows, and the request waits half a minute longer; a
// create that does not wait has no timeout to send.
func TestExplicitTimeouts(t *testing.T) {
	t.Parallel()
	type members = map[string]any
	tests := map[string]struct {
		call func(context.Context, *sandboxclient.Client) error
		want members // of the body
		took time.Duration
	}{
		"volume": {func(ctx context.Context, c *sandboxclient.Client) error {
			return second(c.Volumes.Create(ctx, &sandboxclient.CreateVolume{Name: "a", Size: "1Gi", Timeout: 77}))
		}, members{"name": "a", "size": "1Gi", "timeout": 77.0, "wait_for_ready": true}, 107 * time.Second},
		"volume, not waiting": {func(ctx context.Context, c *sandboxclient.Client) error {
			return second(c.Volumes.Create(ctx, &sandboxclient.CreateVolume{Name: "a", Size: "1Gi", Timeout: 77, WaitForReady: new(false)}))
		}, members{"name": "a", "size": "1Gi", "wait_for_ready": false}, 30 * time.Second},
		"pool": {func(ctx context.Context, c *sandboxclient.Client) error {
			return second(c.Pools.Create(ctx, &sandboxclient.CreatePool{Name: "a", TemplateName: "t", Replicas: 1, Timeout: 600}))
		}, members{"name": "a", "template_name": "t", "replicas": 1.0, "timeout": 600.0, "wait_for_ready": true}, 630 * time.Second},
		"pool, not waiting": {func(ctx context.Context, c *sandboxclient.Client) error {
			return second(c.Pools.Create(ctx, &sandboxclient.CreatePool{Name: "a", TemplateName: "t", Replicas: 1, WaitForReady: new(false)}))
		}, members{"name": "a", "template_name": "t", "replicas": 1.0, "wait_for_ready": false}, 30 * time.Second},
		"sandbox": {func(ctx context.Context, c *sandboxclient.Client) error {
			return second(c.Create(ctx, &sandboxclient.CreateSandbox{Timeout: 7200, WaitForReady: new(true)}))
		}, members{"timeout": 7200.0, "wait_for_ready": true}, 7230 * time.Second},
		"sandbox, not waiting": {func(ctx context.Context, c *sandboxclient.Client) error {
			return second(c.Create(ctx, &sandboxclient.CreateSandbox{Timeout: 5, WaitForReady: new(false)}))
		}, members{"wait_for_ready": false}, 30 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &fake{answer: func(_ int, req *http.Request) (*http.Response, error) {
					<-req.Context().Done()
					return nil, req.Context().Err()
				}}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Hour)
				defer cancel()
				start := time.Now()
				err := tt.call(ctx, client(t, f))
				if took := time.Since(start); took != tt.took || !errors.Is(err, sandboxclient.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v after %s, want it to be late after %s", err, took, tt.took)
				}
				var got members
				if err := json.Unmarshal([]byte(f.requests()[0].body), &got); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("body (-want +got):\n%s", diff)
				}
			})
		})
	}
}
