package sandboxclient_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestServiceTargets: which addresses are the service's, and where requests
// for them go.
func TestServiceTargets(t *testing.T) {
	t.Parallel()
	const base = "https://s.test/svc/a%2Fb"
	for asked, want := range map[string]string{
		"":                               "/svc/a%2Fb/",
		"/":                              "/svc/a%2Fb/",
		"api/data":                       "/svc/a%2Fb/api/data",
		"/api/data?x=1&y":                "/svc/a%2Fb/api/data?x=1&y",
		"/a%2Fb/c%20d":                   "/svc/a%2Fb/a%2Fb/c%20d",
		"/a//b":                          "/svc/a%2Fb/a//b",
		"/a/../b":                        "/svc/a%2Fb/a/../b",
		base:                             "/svc/a%2Fb/",
		base + "/x?y#z":                  "/svc/a%2Fb/x?y",
		"https://S.test:443/svc/a%2Fb/x": "/svc/a%2Fb/x",
		"/..":                            "",
		"/a/../../b":                     "",
		"/%2e%2e/b":                      "",
		"/..%5c..%5cb":                   "",
		base + "/../../x":                "",
		base + "x":                       "",
		"https://s.test/svc/a/b/x":       "",
		"https://s.test/":                "",
		"http://s.test/svc/a%2Fb/x":      "",
		"https://s.test:444/svc/a%2Fb/x": "",
		"https://u:p@s.test/svc/a%2Fb/x": "",
		"https://evil.test/svc/a%2Fb/x":  "",
		"//evil.test/svc/a%2Fb/x":        "",
		"mailto:somebody":                "",
	} {
		t.Run(asked, func(t *testing.T) {
			t.Parallel()
			f := minting(time.Hour)
			answer := f.answer
			f.answer = func(n int, req *http.Request) (*http.Response, error) {
				if n == 0 {
					return reply(200, `{"service_url":"`+base+`/","token":"t","expires_at":""}`), nil
				}
				return answer(n, req)
			}
			body := &closing{Reader: strings.NewReader("body")}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, asked, body)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := box(client(t, f)).Service(80, nil).Client().Do(req)
			if !body.closed {
				t.Error("the body is not closed")
			}
			if want == "" {
				if !errors.Is(err, sandboxclient.ErrInvalid) || len(f.requests()) != 1 {
					t.Errorf("error %v after %+v", err, f.requests())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			r := f.requests()[1]
			path, query, _ := strings.Cut(want, "?")
			if r.host == "" || !strings.EqualFold(strings.TrimSuffix(r.host, ":443"), "s.test") || r.path != path || r.query != query || r.body != "body" {
				t.Errorf("sent %+v", r)
			}
		})
	}
}

// TestServiceHeaders (T205): the caller's headers arrive, but for the token, which is
// the service's; the client's headers and key do not.
func TestServiceHeaders(t *testing.T) {
	t.Parallel()
	f := minting(time.Hour)
	c := client(t, f, sandboxclient.WithHeader("X-Tenant-Id", "tenant"))
	ctx := sandboxclient.ContextWithHeader(t.Context(), "X-Trace", "t1")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "/path", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.test"
	req.Header = http.Header{"X-Test": {"yes"}, serviceTokenHeader: {"mine", "too"}}
	before := req.Header.Clone()
	resp, err := box(c).Service(80, nil).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	mint, sent := f.requests()[0].header, f.requests()[1].header
	if mint.Get("X-Trace") != "t1" || mint.Get("X-Api-Key") != fakeKey || mint.Get("X-Tenant-Id") != "tenant" {
		t.Errorf("minted with %v", mint)
	}
	want := http.Header{"X-Test": {"yes"}, serviceTokenHeader: {"token-1"}}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, req.Header); diff != "" || req.URL.String() != "/path" || req.Host != "evil.test" {
		t.Errorf("the caller's request was changed: %s", diff)
	}
}

// TestServiceRedirects: those within the service are followed, those that lead
// elsewhere are the answer, and the token goes nowhere else.
func TestServiceRedirects(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		location string
		follows  bool
	}{
		"a path below":        {"/svc1/b", true},
		"an address below":    {"http://{server}/svc1/b", true},
		"a relative path":     {"b", true},
		"another service":     {"/svc2/b", false},
		"the API":             {"/v2/sandboxes/boxes", false},
		"another host":        {"http://localhost:1/svc1/b", false},
		"a climb":             {"../v2/sandboxes/boxes", false},
		"no address anywhere": {"mailto:x", false},
	} {
		for _, whole := range []bool{true, false} {
			t.Run(fmt.Sprint(name, " whole ", whole), func(t *testing.T) {
				t.Parallel()
				var seen []string
				var server *httptest.Server
				server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					switch {
					case r.Method == http.MethodPost:
						w.Header().Set("Content-Type", "application/json")
						fmt.Fprintf(w, `{"service_url":"%s/svc1/","token":"secret"}`, server.URL)
					case r.URL.Path == "/svc1/a":
						w.Header().Set("Location", strings.ReplaceAll(tt.location, "{server}", r.Host))
						w.WriteHeader(http.StatusFound)
					default:
						seen = append(seen, r.URL.Path+" "+r.Header.Get(serviceTokenHeader))
					}
				}))
				defer server.Close()
				c, err := sandboxclient.New(sandboxclient.WithEndpoint(server.URL+"/v2/sandboxes"), sandboxclient.WithAPIKey("key"))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				service := box(c).Service(80, nil)
				address := "/a"
				if whole {
					address = server.URL + "/svc1/a"
				}
				resp, err := visitService(t, service, address)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				want := []string(nil)
				if tt.follows {
					want = []string{"/svc1/b secret"}
				}
				if diff := cmp.Diff(want, seen); diff != "" || (resp.StatusCode == http.StatusFound) == tt.follows {
					t.Errorf("status %d, followed (-want +got):\n%s", resp.StatusCode, diff)
				}
			})
		}
	}
}

// TestServiceWebSocket: connections work, with the token in their handshake.
func TestServiceWebSocket(t *testing.T) {
	t.Parallel()
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"service_url":"%s/svc1/","token":"secret"}`, server.URL)
			return
		}
		if r.URL.Path != "/svc1/echo" || r.Header.Get(serviceTokenHeader) != "secret" || r.Header.Get("X-Api-Key") != "" {
			t.Errorf("%s with %v", r.URL, r.Header)
		}
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.CloseNow()
		kind, data, err := conn.Read(r.Context())
		if err := errors.Join(err, conn.Write(r.Context(), kind, data)); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	c, err := sandboxclient.New(sandboxclient.WithEndpoint(server.URL+"/v2/sandboxes"), sandboxclient.WithAPIKey("key"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	service := box(c).Service(80, nil)
	u, err := service.URL(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn, _, err := websocket.Dial(t.Context(), u.JoinPath("echo").String(), &websocket.DialOptions{HTTPClient: service.Client()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, data, err := conn.Read(t.Context()); string(data) != "hello" || err != nil {
		t.Errorf("read %q, %v", data, err)
	}
}

// TestServiceAnswers: addresses that no token may go to, and handles that do
// not show it.
func TestServiceAnswers(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "http://s.test/", "ftp://s.test/", "https://u:p@s.test/", "/svc", "https://"} {
		f := &fake{answer: always(200, `{"service_url":"`+address+`","token":"secret"}`)}
		service := box(client(t, f)).Service(80, nil)
		_, err := service.URL(t.Context())
		_, getErr := visitService(t, service, "/x")
		if !errors.Is(err, sandboxclient.ErrProtocol) || !errors.Is(getErr, sandboxclient.ErrProtocol) || len(f.requests()) != 1 {
			t.Errorf("%q: %v, %v after %d requests", address, err, getErr, len(f.requests()))
		}
		if shown := fmt.Sprintf("%v %+v %#v", service, service, service); strings.Contains(shown, "secret") {
			t.Errorf("the handle shows its token: %s", shown)
		}
	}
}

// FuzzServiceTargets: whatever is asked for, nothing is sent but to the
// service, also if the receiver takes dots and escapes out of the path.
func FuzzServiceTargets(f *testing.F) {
	for _, seed := range []string{"/a", "..", "/%2e%2e/x", "https://s.test/svc/a/b", "//evil.test/", "/a/..%5c..", "?x", "https://s.test@evil.test/svc/a"} {
		f.Add(seed)
	}
	c, err := sandboxclient.New(
		sandboxclient.WithEndpoint(fakeBase), sandboxclient.WithAPIKey(fakeKey),
		sandboxclient.WithHTTPClient(&http.Client{Transport: &fake{answer: func(_ int, req *http.Request) (*http.Response, error) {
			if req.URL.Host == "api.test" {
				return reply(http.StatusOK, `{"service_url":"https://s.test/svc/a/","token":"t"}`), nil
			}
			where := path.Clean(req.URL.Path)
			if req.URL.Scheme != "https" || req.URL.Host != "s.test" || where != "/svc/a" && !strings.HasPrefix(where, "/svc/a/") {
				return reply(http.StatusTeapot, ""), nil
			}
			return reply(http.StatusOK, ""), nil
		}}}),
	)
	if err != nil {
		f.Fatal(err)
	}
	service := box(c).Service(80, nil)
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := url.Parse(raw)
		if err != nil {
			return
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.URL = u
		resp, err := service.RoundTrip(req)
		if err != nil {
			return
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%q was sent elsewhere", raw)
		}
	})
}
