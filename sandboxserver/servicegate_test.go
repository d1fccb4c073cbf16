package sandboxserver

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/sandboxauth"
)

func withBase(ctx context.Context, base string) context.Context {
	return context.WithValue(ctx, baseKey{}, base)
}

// TestServiceBrowser: the link for browsers leads to a host of its own, where
// a cookie lets in, and nowhere else.
func TestServiceBrowser(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	at := s.shared(map[string]any{"port": 3000})
	u, err := url.Parse(at.BrowserURL)
	if err != nil {
		t.Fatal(err)
	}
	if want := serviceLabel(s.sb.ID, 3000) + ".localhost:"; !strings.HasPrefix(u.Host, want) || !strings.HasSuffix(s.listener.URL, u.Port()) {
		t.Fatalf("%s is no host of its own", u.Host)
	}
	c := s.browser()
	c.CheckRedirect = noRedirects.CheckRedirect
	resp, _ := s.send(c, s.request("GET", at.BrowserURL+"&redirect=%2Fapp%3Fa%3Db", nil))
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/app?a=b" ||
		resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("status %d, %v", resp.StatusCode, resp.Header)
	}
	cookie := resp.Cookies()[0]
	if !cookie.HttpOnly || cookie.Domain != "" || cookie.SameSite != http.SameSiteLaxMode || cookie.MaxAge < 590 || cookie.MaxAge > 600 {
		t.Errorf("cookie %+v", cookie)
	}
	root := "http://" + u.Host
	resp, _ = s.send(c, s.request("GET", root+"/app?a=b", nil))
	got := s.last()
	if resp.StatusCode != http.StatusOK || got.URL.String() != "/app?a=b" || got.Host != u.Host || len(got.Cookies()) != 0 || got.Header.Get("X-Forwarded-Prefix") != "" {
		t.Errorf("status %d, asked for %s at %s with %v", resp.StatusCode, got.URL, got.Host, got.Header)
	}
	if diff := cmp.Diff([]string{"frame-ancestors 'self'"}, resp.Header["Content-Security-Policy"]); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
	another := "http://" + serviceLabel(s.sb.ID, 3001) + ".localhost:" + u.Port()
	for name, address := range map[string]string{"the path": at.ServiceURL, "another port": another} {
		r := s.request("GET", address, nil)
		r.AddCookie(cookie)
		if resp, _ := s.send(noCookies(c), r); resp.StatusCode/100 != 4 {
			t.Errorf("the cookie is good for %s: status %d", name, resp.StatusCode)
		}
	}
	// The API is not at the host of a service.
	r := s.request("GET", root+"/v2/sandboxes/boxes", nil)
	r.Header.Set("X-Api-Key", testKey)
	if resp, _ := s.send(noCookies(c), r); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("API at the host of a service: status %d", resp.StatusCode)
	}
}

func noCookies(c *http.Client) *http.Client {
	without := *c
	without.Jar = nil
	return &without
}

// TestServiceForeignPages: pages of other origins do not get in by the cookie
// of their visitor.
func TestServiceForeignPages(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	at := s.shared(map[string]any{"port": 3000})
	u, _ := url.Parse(at.BrowserURL)
	c := s.browser()
	s.send(c, s.request("GET", at.BrowserURL, nil))
	for name, tt := range map[string]struct {
		header http.Header
		want   int
	}{
		"its own page":          {http.Header{"Origin": {"http://" + u.Host}, "Sec-Fetch-Site": {"same-origin"}}, 200},
		"a link elsewhere":      {http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}}, 200},
		"a neighbour":           {http.Header{"Origin": {"http://" + strings.Replace(u.Host, "--3000", "--3001", 1)}}, 403},
		"a page without origin": {http.Header{"Origin": {"null"}}, 403},
		"a neighbour's image":   {http.Header{"Sec-Fetch-Site": {"same-site"}, "Sec-Fetch-Mode": {"no-cors"}}, 403},
		"a handshake":           {http.Header{"Origin": {"https://evil.test"}, "Connection": {"Upgrade"}, "Upgrade": {"websocket"}}, 403},
	} {
		r := s.request("GET", "http://"+u.Host+"/", nil)
		r.Header = tt.header
		if resp, body := s.send(c, r); resp.StatusCode != tt.want {
			t.Errorf("%s: status %d, want %d: %s", name, resp.StatusCode, tt.want, body)
		}
	}
}

// TestServiceRedirectTargets: nobody is led away from the host.
func TestServiceRedirectTargets(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"":                     "/",
		"/":                    "/",
		"/a/b?c=d#e":           "/a/b?c=d#e",
		"/a%2Fb":               "/a%2Fb",
		"a":                    "/",
		"//evil.test":          "/",
		"///evil.test":         "/",
		"/\\evil.test":         "/",
		"\\\\evil.test":        "/",
		"/%0d%0aX:y":           "/%0d%0aX:y",
		"/\r\nX: y":            "/",
		"/\t/evil.test":        "/",
		"https://evil.test/":   "/",
		"https:evil.test":      "/",
		"javascript:alert(1)":  "/",
		"/_svc/auth?token=x":   "/",
		"http://u:p@evil.test": "/",
	} {
		if got := localRedirect(raw); got != want {
			t.Errorf("%q leads to %q, want %q", raw, got, want)
		}
	}
}

// FuzzServiceRedirect: whatever is asked for, the way leads to the same host.
func FuzzServiceRedirect(f *testing.F) {
	for _, seed := range []string{"/", "//x", "/\\x", "https://x/", "/a?b#c", "/%2F/x", "/.//x", "/..//x"} {
		f.Add(seed)
	}
	base, _ := url.Parse("http://here.test/_svc/auth")
	f.Fuzz(func(t *testing.T, raw string) {
		got := localRedirect(raw)
		u, err := base.Parse(got)
		if err != nil || u.Host != base.Host || u.Scheme != base.Scheme || !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\r\n\t") {
			t.Errorf("%q leads to %q", raw, got)
		}
	})
}

// TestServiceLogin: a port that is shared by login takes the key of the
// server, in a window of the browser's own or as a header, and lets nobody in
// any more once the login is taken back.
func TestServiceLogin(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	at := s.shared(map[string]any{"port": 3000, "access": "restricted"})
	c := s.browser()
	page := func(address string) *http.Request {
		r := s.request("GET", address, nil)
		r.Header.Set("Accept", "text/html")
		return r
	}
	resp, body := s.send(c, page(at.BrowserURL+"app?a=b"))
	if resp.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Basic ") || resp.Request.URL.Path != authPath {
		t.Fatalf("status %d at %s: %s", resp.StatusCode, resp.Request.URL, body)
	}
	wrong := page(resp.Request.URL.String())
	wrong.SetBasicAuth("x", "wrong")
	if resp, _ := s.send(c, wrong); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("wrong password: status %d", resp.StatusCode)
	}
	right := page(resp.Request.URL.String())
	right.SetBasicAuth("x", testKey)
	if resp, body := s.send(c, right); resp.StatusCode != http.StatusOK || s.last().URL.String() != "/app?a=b" || s.last().Header.Get("Authorization") != "" {
		t.Errorf("status %d, asked for %s: %s", resp.StatusCode, s.last().URL, body)
	}
	verifier, err := sandboxauth.NewVerifier(&sandboxauth.Config{Endpoint: s.listener.URL, UserIssuer: "http://localhost"})
	if err != nil {
		t.Fatal(err)
	}
	token := s.last().Header.Get(sandboxauth.UserTokenHeader)
	if user, err := verifier.User(t.Context(), token, at.BrowserURL); err != nil || user.ID != "local" || s.last().Header.Get("X-Langsmith-User-Id") != "local" {
		t.Errorf("user %+v, %v", user, err)
	}
	if _, err := verifier.User(t.Context(), token, at.ServiceURL); !errors.Is(err, sandboxauth.ErrToken) {
		t.Errorf("the token of a user is good for another host: %v", err)
	}
	r := s.request("GET", at.ServiceURL, nil)
	r.Header.Set("X-Api-Key", testKey)
	if resp, _ := s.send(noRedirects, r); resp.StatusCode != http.StatusOK || s.last().Header.Get("X-Api-Key") != "" {
		t.Errorf("with the key: status %d", resp.StatusCode)
	}
	s.refused(s.call("POST", "/boxes/"+s.sb.Name+"/service-url", map[string]any{"port": 3000}), 409, codeConflict, "3000")
	s.want(422, "POST", "/boxes/"+s.sb.Name+"/service-url", map[string]any{"port": 3000, "access": "workspace", "expires_in_seconds": 60})

	s.want(204, "DELETE", "/boxes/"+s.sb.Name+"/service-urls?port=3000", nil)
	s.want(200, "POST", "/boxes/"+s.sb.Name+"/service-url", map[string]any{"port": 3000, "access": "workspace"})
	if resp, _ := s.send(c, s.request("GET", at.BrowserURL, nil)); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("by the cookie of a login that was taken back: status %d", resp.StatusCode)
	}
	s.want(200, "POST", "/boxes/"+s.sb.Name+"/service-url", map[string]any{"port": 3000, "access": "off"})
	r = s.request("GET", at.ServiceURL, nil)
	r.Header.Set("X-Api-Key", testKey)
	if resp, _ := s.send(noRedirects, r); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("with the key and without a login: status %d", resp.StatusCode)
	}
}

// TestServiceFrame: the page for frames takes the token from where no server
// sees it, and the service can be shown by the pages that were named.
func TestServiceFrame(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.serve = func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Frame-Options", "DENY") }
	at := s.shared(map[string]any{"port": 3000, "embed_origins": []string{"https://App.test:443", "http://localhost:8000", "https://[2001:DB8::1]:8443"}})
	embed, err := url.Parse(at.EmbedURL)
	if err != nil || embed.Fragment != "token="+at.Token || embed.RawQuery != "" {
		t.Fatalf("embed URL %s, %v", at.EmbedURL, err)
	}
	c := s.browser()
	resp, body := s.send(c, s.request("GET", at.EmbedURL, nil))
	if resp.StatusCode != http.StatusOK || !strings.Contains(resp.Header.Get("Content-Security-Policy"), "default-src 'none'") || !strings.Contains(body, "<script>") {
		t.Errorf("status %d, %v", resp.StatusCode, resp.Header)
	}
	post := func(token, origin, redirect string) (*http.Response, string) {
		form := url.Values{"token": {token}, "redirect": {redirect}}
		r := s.request("POST", "http://"+embed.Host+authPath, strings.NewReader(form.Encode()))
		r.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Origin": {origin}}
		return s.send(c, r)
	}
	if resp, _ := post("x", "http://"+embed.Host, ""); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a wrong token: status %d", resp.StatusCode)
	}
	if resp, _ := post(at.Token, "https://evil.test", ""); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a page of another origin: status %d", resp.StatusCode)
	}
	// Where the page leads is decided here: what browsers make of an address,
	// with a tab in it for one, a pattern in a script does not tell.
	for redirect, want := range map[string]string{
		"": "/", "/app?a=b#c": "/app?a=b#c", "/\t/evil.test": "/", "/\n/evil.test": "/", "//evil.test": "/", "/\\evil.test": "/", "https://evil.test": "/",
	} {
		if resp, to := post(at.Token, "http://"+embed.Host, redirect); resp.StatusCode != http.StatusOK || to != want {
			t.Errorf("led to %q by %q, want %q: status %d", to, redirect, want, resp.StatusCode)
		}
	}
	resp, _ = post(at.Token, "http://"+embed.Host, "")
	cookie := resp.Cookies()[0]
	if cookie.SameSite != http.SameSiteNoneMode || !cookie.Secure || !cookie.Partitioned || !cookie.HttpOnly {
		t.Errorf("cookie %+v", cookie)
	}
	r := s.request("GET", "http://"+embed.Host+"/", nil)
	r.AddCookie(cookie)
	resp, _ = s.send(noCookies(c), r)
	if got := resp.Header.Get("Content-Security-Policy"); got != "frame-ancestors 'self' https://app.test http://localhost:8000 https://[2001:db8::1]:8443" || resp.Header.Get("X-Frame-Options") != "" {
		t.Errorf("status %d, %v", resp.StatusCode, resp.Header)
	}
	for _, origin := range []string{
		"http://app.test", "app.test", "https://a.test/x", "https://a.test;x", "https://u@a.test", "*", "null",
		"https://a.test:", "https://a.test:0", "https://a.test:65536", "https://a.test?", "https://*.test", "https://\u00e4.test", "https://a<b>.test",
		"https://.", "https://a..test", "https://-a.test", "https://[::1%25eth0]",
		"https://" + strings.Repeat("a.", 127) + "test", // would not fit in a cookie
	} {
		s.want(422, "POST", "/boxes/"+s.sb.Name+"/service-url", map[string]any{"port": 3000, "embed_origins": []string{origin}})
	}
}

// TestServiceGateMethods: what the addresses of the gate take.
func TestServiceGateMethods(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	at := s.shared(map[string]any{"port": 3000})
	u, err := url.Parse(at.BrowserURL)
	if err != nil {
		t.Fatal(err)
	}
	for path, allowed := range map[string]string{authPath: "GET, POST", embedPath: "GET"} {
		resp, _ := s.send(s.browser(), s.request("DELETE", "http://"+u.Host+path, nil))
		if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != allowed {
			t.Errorf("%s: status %d, Allow %q, want %q", path, resp.StatusCode, resp.Header.Get("Allow"), allowed)
		}
	}
}

// TestServiceFrameLogin: who logs in within a frame gets a cookie that counts
// there.
func TestServiceFrameLogin(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	at := s.shared(map[string]any{"port": 3000, "access": "restricted", "embed_origins": []string{"https://app.test"}})
	r := s.request("GET", strings.TrimSuffix(at.BrowserURL, "/")+authPath, nil)
	r.SetBasicAuth("x", testKey)
	c := s.browser()
	c.CheckRedirect = noRedirects.CheckRedirect
	resp, body := s.send(c, r)
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("status %d: %s", resp.StatusCode, body)
	}
	if cookie := resp.Cookies()[0]; cookie.SameSite != http.SameSiteNoneMode || !cookie.Secure || !cookie.Partitioned || !cookie.HttpOnly {
		t.Errorf("cookie %+v", cookie)
	}
}

// TestServiceLogoutEndsConnections: who is let in by login has no connection
// that outlives it; a token is good until it expires.
func TestServiceLogoutEndsConnections(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(s *shop){
		"deleted":     func(s *shop) { s.want(204, "DELETE", "/boxes/"+s.sb.Name+"/service-urls?port=3000", nil) },
		"all deleted": func(s *shop) { s.want(204, "DELETE", "/boxes/"+s.sb.Name+"/service-urls", nil) },
		"taken back": func(s *shop) {
			s.want(200, "POST", "/boxes/"+s.sb.Name+"/service-url", map[string]any{"port": 3000, "access": "off"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			s.serve = func(w http.ResponseWriter, r *http.Request) {
				conn, err := websocket.Accept(w, r, nil)
				if err != nil {
					return
				}
				defer conn.CloseNow()
				for {
					kind, data, err := conn.Read(context.WithoutCancel(r.Context()))
					if err != nil || conn.Write(context.WithoutCancel(r.Context()), kind, data) != nil {
						return
					}
				}
			}
			token := s.shared(map[string]any{"port": 3000}).Token
			at := s.shared(map[string]any{"port": 3000, "access": "restricted"})
			dial := func(name, value string) *websocket.Conn {
				conn, _, err := websocket.Dial(t.Context(), at.ServiceURL, &websocket.DialOptions{HTTPHeader: http.Header{name: {value}}})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.CloseNow() })
				return conn
			}
			login, other := dial("X-Api-Key", testKey), dial(serviceTokenHeader, token)
			s.want(200, "POST", "/boxes/"+s.sb.Name+"/service-url", map[string]any{"port": 3000, "access": "workspace"})
			echo := func(conn *websocket.Conn) error {
				if err := conn.Write(t.Context(), websocket.MessageText, []byte("x")); err != nil {
					return err
				}
				_, _, err := conn.Read(t.Context())
				return err
			}
			if err := echo(login); err != nil {
				t.Fatalf("changed, not ended: %v", err)
			}
			end(s)
			if _, _, err := login.Read(t.Context()); err == nil {
				t.Error("the connection is still there")
			}
			if err := echo(other); err != nil {
				t.Errorf("the connection by token is gone: %v", err)
			}
		})
	}
}

// TestServiceHosts: which hosts services have, by how the server is reached.
func TestServiceHosts(t *testing.T) {
	t.Parallel()
	const id = "00000000-0000-4000-8000-000000000000"
	for name, tt := range map[string]struct {
		cfg  Config
		base string
		want string // empty is a path
	}{
		"loopback":            {Config{}, "http://127.0.0.1:80", "http://" + id + "--5.localhost:80"},
		"localhost":           {Config{}, "http://localhost", "http://" + id + "--5.localhost"},
		"IPv6 loopback":       {Config{}, "http://[::1]:80", "http://" + id + "--5.localhost:80"},
		"another address":     {Config{}, "http://10.0.0.1:80", ""},
		"a name":              {Config{}, "https://box.test", "https://" + id + "--5.box.test"},
		"a domain of its own": {Config{ServiceDomain: "Svc.test"}, "https://box.test:8443", "https://" + id + "--5.svc.test:8443"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &engine{cfg: tt.cfg}
			at := e.serviceAddresses(withBase(t.Context(), tt.base), id, 5)
			if want := tt.base + "/svc/" + id + "--5/"; at.program != want {
				t.Errorf("programs %s, want %s", at.program, want)
			}
			if tt.want == "" {
				tt.want = strings.TrimSuffix(at.program, "/")
			}
			if at.browser != tt.want {
				t.Errorf("browsers %s, want %s", at.browser, tt.want)
			}
		})
	}
	b := newBench(t, func(c *Config) { c.ServiceDomain = "svc.test" })
	for host, want := range map[string]int{id + "--5.svc.test": 401, id + "--5.evil.test": 421, "x.svc.test": 421, "svc.test": 421, id + "--5.localhost": 401} {
		r := request("GET", "/", nil)
		r.Host = host
		r.Header = http.Header{}
		if a := b.do(r); a.status != want {
			t.Errorf("%s: status %d, want %d", host, a.status, want)
		}
	}
	for _, domain := range []string{"https://x", "x:80", "x/y", ".x", "10.0.0.1", "a b"} {
		if _, err := (Config{ServiceDomain: domain}).withDefaults(); err == nil {
			t.Errorf("service domain %q passes", domain)
		}
	}
}

// TestServiceGateByPath: where there are no hosts, browsers are told so.
func TestServiceGateByPath(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	at := s.shared(map[string]any{"port": 3000})
	resp, body := s.visit(at.ServiceURL+"_svc/auth?token="+at.Token, "")
	if resp.StatusCode != http.StatusNotImplemented || len(resp.Cookies()) != 0 {
		t.Errorf("status %d: %s", resp.StatusCode, body)
	}
}
