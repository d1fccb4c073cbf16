package sandboxclient_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

func unescape(t *testing.T, s string) string {
	t.Helper()
	got, err := url.PathUnescape(s)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestBrokenAnswers: an answer that makes no sense is an error that keeps the
// status, and says when something may have happened.
func TestBrokenAnswers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status int
		body   io.Reader
		want   error
		effect bool // of a create: it may have happened
	}{
		"no JSON":         {201, strings.NewReader("<html>"), sandboxclient.ErrProtocol, true},
		"cut JSON":        {201, strings.NewReader(`{"name":`), sandboxclient.ErrProtocol, true},
		"other JSON":      {201, strings.NewReader(`{"name":7}`), sandboxclient.ErrProtocol, true},
		"nothing":         {201, strings.NewReader(""), sandboxclient.ErrProtocol, true},
		"endless success": {201, &endless{}, sandboxclient.ErrTooLarge, true},
		"endless error":   {500, &endless{}, sandboxclient.ErrServer, false},
		"error in HTML":   {500, strings.NewReader("<html>"), sandboxclient.ErrServer, false},
		"a redirect":      {302, strings.NewReader(""), nil, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{answer: func(int, *http.Request) (*http.Response, error) { return replyStream(tt.status, tt.body), nil }}
			_, err := client(t, f).Create(t.Context(), nil)
			api, ok := errors.AsType[*sandboxclient.APIError](err)
			if !ok || api.StatusCode != tt.status || api.Message == "" {
				t.Fatalf("error %#v, want an APIError with status %d and a message", err, tt.status)
			}
			if tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("error %v does not match %v", err, tt.want)
			}
			if got := errors.Is(err, sandboxclient.ErrOutcomeUnknown); got != tt.effect {
				t.Errorf("outcome unknown: %t, want %t", got, tt.effect)
			}
			if e, ok := tt.body.(*endless); ok && tt.status >= 300 && e.read > 1<<20 {
				t.Errorf("%d bytes of an error were read", e.read)
			}
		})
	}
}

// TestErrorAttributes: every shape of the envelope ends up in the same fields.
func TestErrorAttributes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status int
		body   string
		want   []error
		text   string
	}{
		"object":         {404, `{"detail":{"error":"not_found","message":"no box","error_id":"e1"}}`, []error{sandboxclient.ErrNotFound}, `get sandbox "box1": 404 no box [not_found] (error_id e1)`},
		"text":           {404, `{"detail":"no box"}`, []error{sandboxclient.ErrNotFound}, `get sandbox "box1": 404 no box`},
		"list":           {422, `{"detail":[{"loc":["body","a",0],"msg":"m1","type":"value_error"},{"msg":"m2"}]}`, []error{sandboxclient.ErrInvalid}, `get sandbox "box1": 422 m1; m2`},
		"no detail":      {404, `{"error":"NotFound","message":"gone"}`, []error{sandboxclient.ErrNotFound}, `get sandbox "box1": 404 gone [NotFound]`},
		"nothing":        {503, ``, []error{sandboxclient.ErrUnavailable}, `get sandbox "box1": 503 Service Unavailable`},
		"unknown status": {599, `null`, nil, `get sandbox "box1": 599 unexpected status`},
		"odd detail":     {400, `{"detail":7}`, nil, `get sandbox "box1": 400 Bad Request`},
		"unauthorized":   {401, `{"detail":"no"}`, []error{sandboxclient.ErrUnauthorized}, `get sandbox "box1": 401 no`},
		"proxy":          {502, `{"detail":{"error":"ConnectionError","message":"m"}}`, []error{sandboxclient.ErrConnection, sandboxclient.ErrUnavailable}, `get sandbox "box1": 502 m [ConnectionError]`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client(t, &fake{answer: always(tt.status, tt.body)}).Get(t.Context(), "box1")
			if err == nil || err.Error() != tt.text {
				t.Errorf("error %q, want %q", err, tt.text)
			}
			for _, want := range tt.want {
				if !errors.Is(err, want) {
					t.Errorf("error %v does not match %v", err, want)
				}
			}
		})
	}
}

func TestFileErrors(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]error{404: fs.ErrNotExist, 403: fs.ErrPermission} {
		_, err := box(client(t, &fake{answer: always(status, "{}")})).ReadFile(t.Context(), "/a")
		if path, ok := errors.AsType[*fs.PathError](err); !ok || path.Path != "/a" || !errors.Is(err, want) {
			t.Errorf("%d: error %#v, want a PathError matching %v", status, err, want)
		}
		err = box(client(t, &fake{answer: always(status, "{}")})).WriteFile(t.Context(), "/a", nil)
		if path, ok := errors.AsType[*fs.PathError](err); !ok || path.Op != "write" || !errors.Is(err, want) {
			t.Errorf("%d: error %#v, want a PathError matching %v", status, err, want)
		}
	}
}

// TestSecretsStay: the key goes to the endpoint and to the sandbox, and is in
// no error and no log.
func TestSecretsStay(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f := &fake{answer: func(_ int, req *http.Request) (*http.Response, error) {
		resp := reply(http.StatusTemporaryRedirect, "")
		resp.Header.Set("Location", "https://evil.test"+req.URL.Path)
		return resp, nil
	}}
	c := client(t, f, sandboxclient.WithLogger(logger))
	_, getErr := c.Get(t.Context(), "box1")
	_, createErr := c.Create(t.Context(), nil)
	_, readErr := box(c).ReadFile(t.Context(), "/secret-path")
	for _, err := range []error{getErr, createErr, readErr} {
		if err == nil || !strings.Contains(err.Error(), "refused to follow a redirect to evil.test") {
			t.Errorf("error %v, want one about the redirect", err)
		}
		if strings.Contains(err.Error(), fakeKey) {
			t.Errorf("error %q holds the key", err)
		}
	}
	seen := f.requests()
	if len(seen) != 3 {
		t.Fatalf("%d requests, want 3: no redirect is followed", len(seen))
	}
	for _, r := range seen {
		if r.header.Get("X-Api-Key") != fakeKey {
			t.Errorf("%s %s had no key", r.method, r.path)
		}
	}
	if text := log.String(); !strings.Contains(text, "status=307") || strings.Contains(text, fakeKey) || strings.Contains(text, "secret-path") {
		t.Errorf("log:\n%s", text)
	}
}

// TestPlaintext: a key travels unencrypted to this machine only.
func TestPlaintext(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		endpoint, dataplane string
		opts                []sandboxclient.Option
		sent                bool
	}{
		"encrypted":              {endpoint: "https://h.test", sent: true},
		"loopback":               {endpoint: "http://127.0.0.1:1", sent: true},
		"localhost":              {endpoint: "http://localhost:1", sent: true},
		"another machine":        {endpoint: "http://h.test"},
		"another, allowed":       {endpoint: "http://h.test", opts: []sandboxclient.Option{sandboxclient.WithPlaintext()}, sent: true},
		"another, without key":   {endpoint: "http://h.test", opts: []sandboxclient.Option{sandboxclient.WithAPIKey("")}, sent: true},
		"sandbox less safe":      {endpoint: "https://h.test", dataplane: "http://r.test/sb"},
		"sandbox on the machine": {endpoint: "https://h.test", dataplane: "http://127.0.0.1/sb", sent: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{answer: always(200, `{"name":"a"}`)}
			c := client(t, f, append(tt.opts, sandboxclient.WithEndpoint(tt.endpoint))...)
			var err error
			if tt.dataplane == "" {
				_, err = c.Get(t.Context(), "a")
			} else {
				_, err = c.FromInfo(sandboxclient.Info{Name: "a", DataplaneURL: tt.dataplane}).Execute(t.Context(), "true", nil)
			}
			if sent := len(f.requests()) == 1; sent != tt.sent {
				t.Errorf("sent: %t, want %t (%v)", sent, tt.sent, err)
			}
			if !tt.sent && !errors.Is(err, sandboxclient.ErrInvalid) {
				t.Errorf("error %v does not match ErrInvalid", err)
			}
		})
	}
}

// TestCancelledExecute: the error says both why and that the command may run.
func TestCancelledExecute(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	f := &fake{answer: func(_ int, req *http.Request) (*http.Response, error) {
		cancel()
		<-req.Context().Done()
		return nil, req.Context().Err()
	}}
	_, err := box(client(t, f)).Execute(ctx, "sleep 1000", nil)
	for _, want := range []error{context.Canceled, sandboxclient.ErrOutcomeUnknown} {
		if !errors.Is(err, want) {
			t.Errorf("error %v does not match %v", err, want)
		}
	}
}
