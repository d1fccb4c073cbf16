package transport_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/internal/transport"
)

// records is a slog handler that keeps what it gets.
type records struct {
	level slog.Level

	mu   sync.Mutex
	kept []map[string]string
}

func (r *records) Enabled(_ context.Context, l slog.Level) bool { return l >= r.level }
func (r *records) WithAttrs([]slog.Attr) slog.Handler           { return r }
func (r *records) WithGroup(string) slog.Handler                { return r }

func (r *records) Handle(_ context.Context, rec slog.Record) error {
	kept := map[string]string{"level": rec.Level.String(), "msg": rec.Message}
	rec.Attrs(func(a slog.Attr) bool {
		kept[a.Key] = a.Value.String()
		return true
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = append(r.kept, kept)
	return nil
}

// TestRecords: one debug record an attempt, with nothing in it that may be
// secret: no user, query, header or body.
func TestRecords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &records{level: slog.LevelDebug}
		hc := scripted(func(n int, _ *http.Request) (*http.Response, error) {
			time.Sleep(time.Duration(n) * time.Second)
			if n == 2 {
				return nil, errors.New("cut off")
			}
			return status(http.StatusServiceUnavailable, ""), nil
		}).client()
		doer := transport.New(transport.Config{
			Endpoint: parsed(t, "https://h.test"), APIKey: "hunter2", Header: http.Header{"X-Tenant-Id": {"tenant7"}},
			Client: hc, Retry: transport.Retry{MaxAttempts: 2}, Logger: slog.New(h),
		})
		req := safe(request(t, http.MethodPost, "https://user:pass@h.test/a%2Fb?path=%2Fsecret#frag", strings.NewReader("body-secret")))
		if _, err := doer.Do(req); err == nil {
			t.Error("no error")
		}
		want := []map[string]string{
			{"level": "DEBUG", "msg": "sandbox request", "method": "POST", "url": "https://h.test/a%2Fb", "took": "1s", "status": "503"},
			{"level": "DEBUG", "msg": "sandbox request", "method": "POST", "url": "https://h.test/a%2Fb", "took": "2s", "error": "cut off"},
		}
		if diff := cmp.Diff(want, h.kept); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
	})
}

// TestNoRecords: above debug there is nothing to say.
func TestNoRecords(t *testing.T) {
	t.Parallel()
	h := &records{level: slog.LevelInfo}
	hc := scripted(func(int, *http.Request) (*http.Response, error) {
		return status(http.StatusInternalServerError, ""), nil
	}).client()
	doer := transport.New(transport.Config{Endpoint: parsed(t, "https://h.test"), Client: hc, Logger: slog.New(h)})
	if _, err := doer.Do(request(t, http.MethodGet, "https://h.test/", nil)); err != nil {
		t.Fatal(err)
	}
	if len(h.kept) != 0 {
		t.Errorf("records %v", h.kept)
	}
}

// TestErrorsHoldNoAddress: what net/http puts before its errors holds the
// query, which may be secret.
func TestErrorsHoldNoAddress(t *testing.T) {
	t.Parallel()
	hc := scripted(func(int, *http.Request) (*http.Response, error) { return nil, errors.New("cut off") }).client()
	_, err := chain(t, hc).Do(request(t, http.MethodGet, "https://user:pass@h.test/a?path=secret", nil))
	if err == nil || err.Error() != "cut off" {
		t.Errorf("error %v, want the transport's own", err)
	}
}

func TestUserAgent(t *testing.T) {
	t.Parallel()
	agent := transport.UserAgent()
	if !strings.HasPrefix(agent, "langsandbox-go/"+transport.Version()+" (go") || strings.ContainsAny(agent, "\r\n") {
		t.Errorf("user agent %q", agent)
	}
}
