package sandboxclient_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/sandboxclient"
)

const serviceTokenHeader = "X-Langsmith-Sandbox-Service-Token"

// minting answers requests for service URLs; the tokens have numbers, and live
// as long as lives says, or what is said last. Everything else gets an answer
// of the service.
func minting(lives ...time.Duration) *fake {
	n := 0
	return &fake{answer: func(_ int, req *http.Request) (*http.Response, error) {
		if req.Method != http.MethodPost || !strings.HasSuffix(req.URL.Path, "/service-url") {
			return reply(http.StatusOK, "hi"), nil
		}
		n++
		life := lives[min(n, len(lives))-1]
		if life == 0 {
			return reply(http.StatusServiceUnavailable, `{"detail":"busy"}`), nil
		}
		return reply(http.StatusOK, fmt.Sprintf(`{"browser_url":"https://box1--80.test/_svc/auth?token=%[1]d",
			"service_url":"https://box1--80.test/","token":"token-%[1]d","expires_at":%[2]q}`,
			n, time.Now().Add(life).UTC().Format(time.RFC3339))), nil
	}}
}

func visitService(t *testing.T, service *sandboxclient.Service, address string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return service.Client().Do(req)
}

// mints counts the requests for service URLs.
func mints(f *fake) (n int) {
	for _, r := range f.requests() {
		if strings.HasSuffix(r.path, "/service-url") {
			n++
		}
	}
	return n
}

// TestServiceToken: when a token is renewed, and what is used if that fails.
func TestServiceToken(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		lives []time.Duration // of the tokens, 0 is a failure
		asked time.Duration
		wait  time.Duration // before the second use
		want  string
		mints int
	}{
		"T198 an hour left":                     {[]time.Duration{time.Hour}, time.Hour, 0, "token-1", 1},
		"T199 ten seconds left":                 {[]time.Duration{10 * time.Second, time.Hour}, 0, 0, "token-2", 2},
		"T200 35 seconds left":                  {[]time.Duration{35 * time.Second}, 0, 0, "token-1", 1},
		"30 seconds left":                       {[]time.Duration{30 * time.Second, time.Hour}, 0, 0, "token-2", 2},
		"T201 expired":                          {[]time.Duration{-5 * time.Minute, time.Hour}, 0, 0, "token-2", 2},
		"a short life":                          {[]time.Duration{10 * time.Second}, 10 * time.Second, 4 * time.Second, "token-1", 1},
		"over half of a short life":             {[]time.Duration{10 * time.Second}, 10 * time.Second, 5 * time.Second, "token-2", 2},
		"a server whose clock is ahead":         {[]time.Duration{24 * time.Hour}, time.Minute, 31 * time.Second, "token-2", 2},
		"T210 no renewal while the old is good": {[]time.Duration{20 * time.Second, 0}, 0, 0, "token-1", 2},
		"no renewal, and the old one is no":     {[]time.Duration{20 * time.Second, 0}, 0, 21 * time.Second, "", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := minting(tt.lives...)
				service := box(client(t, f)).Service(80, &sandboxclient.ServiceOptions{ExpiresIn: tt.asked})
				if first, err := service.Token(t.Context()); first != "token-1" || err != nil {
					t.Fatalf("%q, %v", first, err)
				}
				time.Sleep(tt.wait)
				got, err := service.Token(t.Context())
				if got != tt.want || (err == nil) != (tt.want != "") || mints(f) != tt.mints {
					t.Errorf("token %q, %v after %d mints", got, err, mints(f))
				}
			})
		})
	}
}

// TestServiceTokenPause: a renewal that failed is not tried by every request
// while the old token is good.
func TestServiceTokenPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := minting(20*time.Second, 0)
		service := box(client(t, f)).Service(80, nil)
		for range 10 {
			if _, err := service.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if mints(f) != 2 {
			t.Errorf("%d mints, want 2", mints(f))
		}
		time.Sleep(5 * time.Second)
		_, _ = service.Token(t.Context())
		if mints(f) != 3 {
			t.Errorf("%d mints after the pause, want 3", mints(f))
		}
	})
}

// TestServiceOneRenewal: all who need a token wait for one request, which goes
// on while one of them is left, and ends with the last.
func TestServiceOneRenewal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var ended error
		f := minting(time.Hour)
		answer := f.answer
		f.answer = func(n int, req *http.Request) (*http.Response, error) {
			select {
			case <-release:
				return answer(n, req)
			case <-req.Context().Done():
				ended = context.Cause(req.Context())
				return nil, ended
			}
		}
		service := box(client(t, f)).Service(80, nil)
		first, leave := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if _, err := service.Token(first); !errors.Is(err, context.Canceled) {
				t.Errorf("who left got %v", err)
			}
		})
		synctest.Wait()
		for range 9 {
			waiting.Go(func() {
				if token, err := service.Token(t.Context()); token != "token-1" || err != nil {
					t.Errorf("%q, %v", token, err)
				}
			})
		}
		synctest.Wait()
		leave()
		synctest.Wait()
		if mints(f) != 1 || ended != nil {
			t.Errorf("%d mints, ended %v", mints(f), ended)
		}
		close(release)
		waiting.Wait()

		release = make(chan struct{})
		service = box(client(t, f)).Service(81, nil)
		alone, leave := context.WithCancel(t.Context())
		waiting.Go(func() { _, _ = service.Token(alone) })
		synctest.Wait()
		leave()
		waiting.Wait()
		synctest.Wait()
		if !errors.Is(ended, context.Canceled) {
			t.Errorf("nobody waits, and the renewal ended with %v", ended)
		}
		close(release)
		if _, err := service.Token(t.Context()); err != nil {
			t.Errorf("after a renewal nobody waited for: %v", err)
		}
	})
}

// TestServiceArguments: what is refused before anything is sent, and what is
// sent for the rest.
func TestServiceArguments(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		port int
		opts *sandboxclient.ServiceOptions
		want string // the body; empty is refused
	}{
		"T195 least":           {3000, nil, `{"port":3000,"expires_in_seconds":600}`},
		"T197 lowest":          {1, &sandboxclient.ServiceOptions{ExpiresIn: 1}, `{"port":1,"expires_in_seconds":1}`},
		"T197 highest":         {65535, &sandboxclient.ServiceOptions{ExpiresIn: 24 * time.Hour}, `{"port":65535,"expires_in_seconds":86400}`},
		"T196 port 0":          {0, nil, ""},
		"T196 port -1":         {-1, nil, ""},
		"T196 port 65536":      {65536, nil, ""},
		"negative life":        {80, &sandboxclient.ServiceOptions{ExpiresIn: -1}, ""},
		"T197 long life":       {80, &sandboxclient.ServiceOptions{ExpiresIn: 24*time.Hour + 1}, ""},
		"login":                {80, &sandboxclient.ServiceOptions{Access: sandboxclient.ServiceRestricted}, `{"port":80,"access":"restricted"}`},
		"T207 login that ends": {80, &sandboxclient.ServiceOptions{Access: sandboxclient.ServiceWorkspace, ExpiresIn: time.Hour}, ""},
		"off":                  {80, &sandboxclient.ServiceOptions{Access: sandboxclient.ServiceOff}, `{"port":80,"access":"off"}`},
		"origins": {
			80, &sandboxclient.ServiceOptions{EmbedOrigins: []string{"https://a.test", "http://localhost:3000"}},
			`{"port":80,"expires_in_seconds":600,"embed_origins":["https://a.test","http://localhost:3000"]}`,
		},
		"six origins":    {80, &sandboxclient.ServiceOptions{EmbedOrigins: slices.Repeat([]string{"https://a.test"}, 6)}, ""},
		"plain origin":   {80, &sandboxclient.ServiceOptions{EmbedOrigins: []string{"http://a.test"}}, ""},
		"no origin":      {80, &sandboxclient.ServiceOptions{EmbedOrigins: []string{"a.test"}}, ""},
		"a whole URL":    {80, &sandboxclient.ServiceOptions{EmbedOrigins: []string{"https://a.test/page"}}, ""},
		"any origin":     {80, &sandboxclient.ServiceOptions{EmbedOrigins: []string{"https://*.a.test"}}, ""},
		"another policy": {80, &sandboxclient.ServiceOptions{EmbedOrigins: []string{"https://a.test;script-src"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := minting(time.Hour)
			_, err := box(client(t, f)).Service(tt.port, tt.opts).Get(t.Context())
			if tt.want == "" {
				if !errors.Is(err, sandboxclient.ErrInvalid) || len(f.requests()) != 0 {
					t.Errorf("error %v after %d requests", err, len(f.requests()))
				}
				return
			}
			var want, got any
			if err := errors.Join(err, json.Unmarshal([]byte(tt.want), &want), json.Unmarshal([]byte(f.requests()[0].body), &got)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

// TestServiceOff: the login is taken back once, and not again by renewals.
func TestServiceOff(t *testing.T) {
	t.Parallel()
	f := minting(time.Second, time.Hour)
	service := box(client(t, f)).Service(80, &sandboxclient.ServiceOptions{Access: sandboxclient.ServiceOff})
	for range 2 {
		if _, err := service.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []gen.ServiceAccess{sandboxclient.ServiceOff, ""} {
		var body gen.CreateServiceURL
		if err := json.Unmarshal([]byte(f.requests()[i].body), &body); err != nil || body.Access != want {
			t.Errorf("request %d has access %q, %v", i, body.Access, err)
		}
	}
}

// TestServiceLogin: where people log in there is no token, and nothing to
// renew.
func TestServiceLogin(t *testing.T) {
	t.Parallel()
	f := &fake{answer: always(200, `{"browser_url":"https://box1--80.test/","service_url":"","access":"workspace"}`)}
	service := box(client(t, f)).Service(80, &sandboxclient.ServiceOptions{Access: sandboxclient.ServiceWorkspace})
	token, err := service.Token(t.Context())
	u, err2 := service.URL(t.Context())
	if err := errors.Join(err, err2); err != nil || token != "" || u.String() != "https://box1--80.test/" {
		t.Errorf("token %q, URL %v, %v", token, u, err)
	}
	resp, err := visitService(t, service, "/x")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if r := f.requests(); len(r) != 2 || r[1].header.Values(serviceTokenHeader) != nil {
		t.Errorf("requests %+v", r)
	}
}
