package sandboxclient_test

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestEnvironment: what the options leave open comes from the environment, the
// newer names first; blank is unset.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	const hosted = "https://api.smith.langchain.com/v2/sandboxes"
	type env = map[string]string
	type opts = []sandboxclient.Option
	tests := map[string]struct {
		env           env
		opts          opts
		endpoint, key string
	}{
		"nothing":             {nil, nil, hosted, ""},
		"new names":           {env{"LANGSMITH_ENDPOINT": "https://a.test", "LANGSMITH_API_KEY": "k1"}, nil, "https://a.test/v2/sandboxes", "k1"},
		"old names":           {env{"LANGCHAIN_ENDPOINT": "https://b.test", "LANGCHAIN_API_KEY": "k2"}, nil, "https://b.test/v2/sandboxes", "k2"},
		"both":                {env{"LANGSMITH_ENDPOINT": "https://a.test", "LANGCHAIN_ENDPOINT": "https://b.test", "LANGSMITH_API_KEY": "k1", "LANGCHAIN_API_KEY": "k2"}, nil, "https://a.test/v2/sandboxes", "k1"},
		"new names are blank": {env{"LANGSMITH_ENDPOINT": " \t", "LANGCHAIN_ENDPOINT": "https://b.test", "LANGSMITH_API_KEY": "\n", "LANGCHAIN_API_KEY": "k2"}, nil, "https://b.test/v2/sandboxes", "k2"},
		"spaces around":       {env{"LANGSMITH_ENDPOINT": " https://a.test\n", "LANGSMITH_API_KEY": " k1\n"}, nil, "https://a.test/v2/sandboxes", "k1"},
		"slashes behind":      {env{"LANGSMITH_ENDPOINT": "https://a.test//"}, nil, "https://a.test/v2/sandboxes", ""},
		"a path":              {env{"LANGSMITH_ENDPOINT": "https://a.test/gate%2Fway/"}, nil, "https://a.test/gate%2Fway/v2/sandboxes", ""},
		"a port":              {env{"LANGSMITH_ENDPOINT": "http://127.0.0.1:8080"}, nil, "http://127.0.0.1:8080/v2/sandboxes", ""},
		"options win":         {env{"LANGSMITH_ENDPOINT": "https://a.test", "LANGSMITH_API_KEY": "k1"}, opts{sandboxclient.WithEndpoint("https://c.test/x"), sandboxclient.WithAPIKey("k3")}, "https://c.test/x", "k3"},
		"no key on purpose":   {env{"LANGSMITH_API_KEY": "k1"}, opts{sandboxclient.WithAPIKey("")}, hosted, ""},
		"key with spaces":     {nil, opts{sandboxclient.WithAPIKey(" k3\n")}, hosted, "k3"},
		"endpoint left open":  {env{"LANGSMITH_ENDPOINT": "https://a.test"}, opts{sandboxclient.WithEndpoint("  ")}, "https://a.test/v2/sandboxes", ""},
		"endpoint as given":   {nil, opts{sandboxclient.WithEndpoint(" https://c.test/a%2Fb//?q=1#f ")}, "https://c.test/a%2Fb", ""},
		"no option at all":    {nil, opts{nil}, hosted, ""},
		"last option wins":    {nil, opts{sandboxclient.WithAPIKey("k1"), sandboxclient.WithAPIKey("k2")}, hosted, "k2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{answer: always(200, "{}")}
			c, err := sandboxclient.New(append(opts{
				sandboxclient.WithHTTPClient(&http.Client{Transport: f}),
				sandboxclient.WithEnvironment(func(key string) string { return tt.env[key] }),
			}, tt.opts...)...)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Endpoint(); got != tt.endpoint {
				t.Errorf("endpoint %q, want %q", got, tt.endpoint)
			}
			if _, err := c.Get(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			got := f.requests()[0]
			if key := strings.Join(got.header.Values("X-Api-Key"), ","); key != tt.key {
				t.Errorf("key %q, want %q", key, tt.key)
			}
			if want := tt.endpoint + "/boxes/a"; "https://"+got.host+got.path != want && "http://"+got.host+got.path != want {
				t.Errorf("sent to %s%s, want %s", got.host, got.path, want)
			}
		})
	}
}

// TestBadOptions: an error that says what is wrong, and repeats nothing that
// may be secret.
func TestBadOptions(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opt  sandboxclient.Option
		want string
	}{
		"no HTTP client":      {sandboxclient.WithHTTPClient(nil), "HTTP client is nil"},
		"no logger":           {sandboxclient.WithLogger(nil), "logger is nil"},
		"no environment":      {sandboxclient.WithEnvironment(nil), "environment is nil"},
		"negative attempts":   {sandboxclient.WithRetry(sandboxclient.RetryPolicy{MaxAttempts: -1}), "retry policy is negative"},
		"negative base":       {sandboxclient.WithRetry(sandboxclient.RetryPolicy{BaseDelay: -1}), "retry policy is negative"},
		"negative pause":      {sandboxclient.WithRetry(sandboxclient.RetryPolicy{MaxDelay: -1}), "retry policy is negative"},
		"negative timeout":    {sandboxclient.WithRequestTimeout(-1), "request timeout is negative"},
		"header without name": {sandboxclient.WithHeader("", "hunter2"), `header name is ""`},
		"header with a space": {sandboxclient.WithHeader("X Y", "hunter2"), `header name is "X Y"`},
		"header with a colon": {sandboxclient.WithHeader("X:", "hunter2"), `header name is "X:"`},
		"header on two lines": {sandboxclient.WithHeader("X-Y", "hunter2\r\nX-Z: 1"), "header X-Y holds a control character"},
		"key on two lines":    {sandboxclient.WithAPIKey("hunter2\nhunter3"), "header X-Api-Key holds a control character"},
		"agent on two lines":  {sandboxclient.WithUserAgent("a\nb", "1"), "header User-Agent holds a control character"},
		"agent without name":  {sandboxclient.WithUserAgent("", "1"), "product is empty"},
		"ftp":                 {sandboxclient.WithEndpoint("ftp://h.test"), `endpoint has the scheme "ftp", not http or https`},
		"no scheme":           {sandboxclient.WithEndpoint("h.test"), `endpoint has the scheme ""`},
		"scheme by mistake":   {sandboxclient.WithEndpoint("localhost:8080"), `endpoint has the scheme "localhost"`},
		"no host":             {sandboxclient.WithEndpoint("https:///v2"), "endpoint has no host"},
		"a port alone":        {sandboxclient.WithEndpoint("https://:80"), "endpoint has no host"},
		"a password":          {sandboxclient.WithEndpoint("https://user:hunter2@h.test"), "endpoint holds a user name or password"},
		"a bad password":      {sandboxclient.WithEndpoint("https://user:hunter2%zz@h.test"), "endpoint is not a URL"},
		"a bad escape":        {sandboxclient.WithEndpoint("https://h.test/%zz?hunter2"), "endpoint is not a URL"},
		"environment's host":  {sandboxclient.WithEnvironment(func(string) string { return "ftp://hunter2" }), `LANGSMITH_ENDPOINT has the scheme "ftp"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := sandboxclient.New(tt.opt)
			if _, ok := errors.AsType[*sandboxclient.ArgumentError](err); !ok || !errors.Is(err, sandboxclient.ErrInvalid) || c != nil {
				t.Fatalf("client %v, error %#v, want an ArgumentError alone", c, err)
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %q, want one with %q and without secrets", err, tt.want)
			}
		})
	}
}

// TestHeaders: the client's go with every request and win over its key; a
// call's win over both.
func TestHeaders(t *testing.T) {
	t.Parallel()
	f := &fake{answer: always(200, "{}")}
	c := client(t, f, sandboxclient.WithHeader("x-api-key", "mine"), sandboxclient.WithHeader("X-Tenant-Id", "t1"))
	ctx := sandboxclient.ContextWithHeader(t.Context(), "x-tenant-id", "t2")
	for _, call := range []func() error{
		func() error { return second(c.Get(t.Context(), "a")) },
		func() error { return second(c.Get(ctx, "a")) },
		func() error { return second(box(c).Execute(ctx, "true", nil)) },
	} {
		if err := call(); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []string{"t1", "t2", "t2"} {
		h := f.requests()[i].header
		if key, tenant := h.Values("X-Api-Key"), h.Values("X-Tenant-Id"); len(key) != 1 || key[0] != "mine" || len(tenant) != 1 || tenant[0] != want {
			t.Errorf("request %d: key %q, tenant %q; want mine and %s, once each", i, key, tenant, want)
		}
	}
}

// TestUserAgent: the caller's product stands before the module's.
func TestUserAgent(t *testing.T) {
	t.Parallel()
	for want, opt := range map[string]sandboxclient.Option{
		"langsandbox-go/":        nil,
		"prod/1 langsandbox-go/": sandboxclient.WithUserAgent("prod", "1"),
		"prod langsandbox-go/":   sandboxclient.WithUserAgent("prod", ""),
	} {
		f := &fake{answer: always(200, "{}")}
		if _, err := client(t, f, opt).Get(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if got := f.requests()[0].header.Get("User-Agent"); !strings.HasPrefix(got, want) {
			t.Errorf("user agent %q, want it to start with %q", got, want)
		}
	}
}

// TestRequestTimeout bounds what does not wait for the server on purpose; 0 is
// no bound but the context.
func TestRequestTimeout(t *testing.T) {
	t.Parallel()
	for timeout, want := range map[time.Duration]time.Duration{time.Second: time.Second, 0: time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{answer: func(_ int, req *http.Request) (*http.Response, error) {
				select {
				case <-req.Context().Done():
					return nil, req.Context().Err()
				case <-time.After(time.Hour):
					return reply(200, "{}"), nil
				}
			}}
			start := time.Now()
			_, err := client(t, f, sandboxclient.WithRequestTimeout(timeout)).Get(t.Context(), "a")
			if took := time.Since(start); took != want || (err == nil) != (timeout == 0) {
				t.Errorf("%s: error %v after %s, want %s", timeout, err, took, want)
			}
		})
	}
}

// TestRetryIsTheCallersToChoose: the zero policy never repeats.
func TestRetryIsTheCallersToChoose(t *testing.T) {
	t.Parallel()
	for attempts, policy := range map[int]*sandboxclient.RetryPolicy{
		1: {}, 2: {MaxAttempts: 2, BaseDelay: time.Hour, MaxDelay: time.Hour}, 4: nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{answer: always(502, "{}")}
			opts := []sandboxclient.Option{
				sandboxclient.WithEnvironment(func(string) string { return "" }),
				sandboxclient.WithHTTPClient(&http.Client{Transport: f}), sandboxclient.WithLogger(slog.New(slog.DiscardHandler)),
			}
			if policy != nil {
				opts = append(opts, sandboxclient.WithRetry(*policy))
			}
			c, err := sandboxclient.New(opts...)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Get(t.Context(), "a"); !errors.Is(err, sandboxclient.ErrUnavailable) || len(f.requests()) != attempts {
				t.Errorf("%+v: %d requests, want %d (%v)", policy, len(f.requests()), attempts, err)
			}
		})
	}
}
