package transport_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/langsandbox/sandbox-go/internal/transport"
)

// TestStartingIsRepeated: what did not reach a sandbox that is starting is sent
// again; an answer that might come from elsewhere, after the sandbox got it, is
// not. The caller reads the whole of it in both cases.
func TestStartingIsRepeated(t *testing.T) {
	t.Parallel()
	const starting = `{"detail":{"error":"ServiceUnavailable","message":"Sandbox is starting: sb-1","error_id":"e"}}`
	long := `{"detail":{"error":"ServiceUnavailable","message":"Sandbox is starting ` + strings.Repeat("x", 9<<10) + `"}}`
	for _, tt := range []struct {
		name   string
		repeat transport.Repeat
		code   int
		body   string
		want   int // attempts
	}{
		{"starting", transport.RepeatStarting, 503, starting, 3},
		{"starting, not to be repeated", transport.RepeatUnsent, 503, starting, 1},
		{"gateway", transport.RepeatStarting, 502, starting, 1},
		{"other reason", transport.RepeatStarting, 503, `{"detail":{"error":"ServiceUnavailable","message":"Service unavailable."}}`, 1},
		{"other code", transport.RepeatStarting, 503, `{"detail":{"error":"Unschedulable","message":"starting"}}`, 1},
		{"text", transport.RepeatStarting, 503, `{"detail":"Sandbox is starting"}`, 1},
		{"no envelope", transport.RepeatStarting, 503, "upstream is starting", 1},
		{"empty", transport.RepeatStarting, 503, "", 1},
		{"long", transport.RepeatStarting, 503, long, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				attempts := 0
				hc := scripted(func(n int, _ *http.Request) (*http.Response, error) {
					attempts = n
					resp := status(tt.code, "")
					resp.Body = io.NopCloser(strings.NewReader(tt.body))
					return resp, nil
				}).client()
				req := request(t, http.MethodPost, "https://h.test/", strings.NewReader("{}"))
				req = req.WithContext(transport.WithCall(req.Context(), transport.Call{Repeat: tt.repeat}))
				resp, err := patient(3, hc).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				if attempts != tt.want || string(body) != tt.body || err != nil {
					t.Errorf("%d attempts, want %d; %d of %d bytes, %v", attempts, tt.want, len(body), len(tt.body), err)
				}
			})
		})
	}
}
