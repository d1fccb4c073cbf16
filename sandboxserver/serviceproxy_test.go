package sandboxserver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/gen"
)

// shop is a server whose sandboxes have a service on port 3000, which notes
// what it is asked.
type shop struct {
	*bench
	listener *httptest.Server
	sb       gen.Sandbox
	serve    func(w http.ResponseWriter, r *http.Request)

	mu   sync.Mutex
	seen []*http.Request
}

func newShop(t *testing.T, change ...func(*Config)) *shop {
	t.Helper()
	s := &shop{bench: newBench(t, change...)}
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, r)
		s.mu.Unlock()
		if s.serve != nil {
			s.serve(w, r)
		}
	}))
	s.fake.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != "localhost:3000" {
			return (&fakeBox{f: &fakeRuntime{}}).Dial(ctx, network, address)
		}
		return new(net.Dialer).DialContext(ctx, network, inside.Listener.Addr().String())
	}
	s.listener = httptest.NewServer(s.server)
	t.Cleanup(func() {
		s.listener.Close()
		inside.Close()
	})
	s.sb = s.box(map[string]any{})
	return s
}

// shared shares a port.
func (s *shop) shared(body map[string]any) gen.ServiceURL {
	s.t.Helper()
	r := s.request("POST", s.listener.URL+"/v2/sandboxes/boxes/"+s.sb.Name+"/service-url", nil)
	data := request("POST", "/", body)
	r.Body, r.ContentLength = data.Body, data.ContentLength
	r.Header = data.Header
	resp, text := s.send(http.DefaultClient, r)
	return decode[gen.ServiceURL](s.t, answer{status: resp.StatusCode, body: text})
}

func (s *shop) request(method, address string, body io.Reader) *http.Request {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, address, body)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *shop) send(c *http.Client, r *http.Request) (*http.Response, string) {
	s.t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(body)
}

// visit asks for an address with a token.
func (s *shop) visit(address, token string) (*http.Response, string) {
	s.t.Helper()
	r := s.request("GET", address, nil)
	if token != "" {
		r.Header.Set(serviceTokenHeader, token)
	}
	return s.send(noRedirects, r)
}

var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func (s *shop) last() *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) == 0 {
		return nil
	}
	return s.seen[len(s.seen)-1]
}

// browser keeps cookies, and finds hosts below localhost as browsers do.
func (s *shop) browser() *http.Client {
	jar, _ := cookiejar.New(nil)
	t := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.listener.Listener.Addr().String())
	}}
	s.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t, Jar: jar}
}

// TestServiceRequests: what arrives in the sandbox is what was sent, without
// what let it in, and so for the answer.
func TestServiceRequests(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.serve = func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Own", "yes")
		http.SetCookie(w, &http.Cookie{Name: "own", Value: "1", Path: "/app", Domain: "localhost"})
		http.SetCookie(w, &http.Cookie{Name: serviceCookie, Value: "stolen"})
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write(body)
	}
	at := s.shared(map[string]any{"port": 3000})
	r := s.request("PUT", at.ServiceURL+"a%2Fb//c/../d?x=%zz;y&z", strings.NewReader("body"))
	r.Header = http.Header{
		serviceTokenHeader: {at.Token}, "X-Api-Key": {testKey}, "Authorization": {"Bearer " + testKey}, "X-Langsmith-User-Id": {"admin"},
		"Cookie": {"a=1; " + serviceCookie + "=x; b=2"}, "X-Forwarded-For": {"6.6.6.6"}, "Connection": {"X-Hop"}, "X-Hop": {"1"}, "X-Kept": {"1", "2"},
	}
	resp, body := s.send(noRedirects, r)
	if resp.StatusCode != http.StatusTeapot || body != "body" || resp.Header.Get("X-Own") != "yes" || resp.Header.Get("Content-Security-Policy") != "sandbox" {
		t.Errorf("status %d, %q, %v", resp.StatusCode, body, resp.Header)
	}
	prefix := servicePrefix + serviceLabel(s.sb.ID, 3000)
	if diff := cmp.Diff([]string{"own=1; Path=" + prefix + "/app"}, resp.Header["Set-Cookie"]); diff != "" {
		t.Errorf("cookies (-want +got):\n%s", diff)
	}
	got := s.last()
	if got.Method != http.MethodPut || got.URL.EscapedPath() != "/a%2Fb//c/../d" || got.URL.RawQuery != "x=%zz;y&z" || got.Host != strings.TrimPrefix(s.listener.URL, "http://") {
		t.Errorf("%s %s at %s", got.Method, got.URL, got.Host)
	}
	want := http.Header{
		"Cookie": {"a=1; b=2"}, "X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Host": {got.Host}, "X-Forwarded-Proto": {"http"},
		"X-Forwarded-Prefix": {prefix}, "X-Kept": {"1", "2"}, "Accept-Encoding": {"gzip"}, "User-Agent": {"Go-http-client/1.1"}, "Content-Length": {"4"},
		"Connection": {"close"},
	}
	if diff := cmp.Diff(want, got.Header); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}

	r = s.request("GET", at.ServiceURL, nil)
	r.Header = http.Header{serviceTokenHeader: {at.Token}, "X-Api-Key": {"the service's own"}, "Authorization": {"Bearer own"}}
	s.send(noRedirects, r)
	if h := s.last().Header; h.Get("X-Api-Key") != "the service's own" || h.Get("Authorization") != "Bearer own" {
		t.Errorf("keys of the service are gone: %v", h)
	}

	// Services that turn headers into variables take these for those that say
	// who logged in, and a key may stand behind another one.
	r = s.request("GET", at.ServiceURL, nil)
	r.Header = http.Header{
		serviceTokenHeader: {at.Token}, "X_Langsmith_User_Id": {"admin"}, "X-Langsmith_user-Token": {"x"}, "X_Own": {"1"},
		"X-Api-Key": {"own", testKey}, "Authorization": {"Bearer own", "Bearer " + testKey},
	}
	s.send(noRedirects, r)
	want = http.Header{"X_own": {"1"}, "X-Api-Key": {"own"}, "Authorization": {"Bearer own"}}
	got = s.last()
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "Accept-Encoding", "User-Agent", "Connection"} {
		got.Header.Del(name)
	}
	if diff := cmp.Diff(want, got.Header); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

// TestServiceEntry: who is let in, and what others are told.
func TestServiceEntry(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	other := s.box(map[string]any{})
	at := s.shared(map[string]any{"port": 3000})
	elsewhere := s.shared(map[string]any{"port": 3001})
	sign := func(change func(*claims)) string {
		c := claims{Kind: tokenService, Sandbox: s.sb.ID, Port: 3000, Expires: time.Now().Add(time.Hour).Unix()}
		change(&c)
		token, err := s.server.engine.signer.sign(c)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	strangers := &signer{key: make([]byte, signingKeySize)}
	foreign, _ := strangers.sign(claims{Kind: tokenService, Sandbox: s.sb.ID, Port: 3000})
	parts := strings.Split(at.Token, ".")
	for name, tt := range map[string]struct {
		token  string
		status int
		code   string
		says   string
	}{
		"the token":           {at.Token, 200, "", ""},
		"none":                {"", 401, codeUnauthorized, "Authentication required"},
		"another port":        {elsewhere.Token, 403, codeForbidden, ""},
		"another sandbox":     {sign(func(c *claims) { c.Sandbox = other.ID }), 403, codeForbidden, ""},
		"another use":         {sign(func(c *claims) { c.Kind = tokenDownload }), 403, codeForbidden, ""},
		"a login's cookie":    {sign(func(c *claims) { c.Kind = tokenLogin }), 403, codeForbidden, ""},
		"expired":             {sign(func(c *claims) { c.Expires = time.Now().Unix() }), 401, codeUnauthorized, "Service link has expired"},
		"another server":      {foreign, 403, codeForbidden, ""},
		"an altered end":      {at.Token[:len(at.Token)-2] + "AA", 403, codeForbidden, ""},
		"no signature":        {parts[0] + "." + parts[1] + ".", 403, codeForbidden, ""},
		"algorithm none":      {"eyJhbGciOiJub25lIn0." + parts[1] + ".", 403, codeForbidden, ""},
		"nonsense":            {"x", 403, codeForbidden, ""},
		"the key of the API":  {testKey, 403, codeForbidden, ""},
		"more than a token":   {strings.Repeat("x", maxToken+1), 403, codeForbidden, ""},
		"nothing but periods": {"..", 403, codeForbidden, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resp, body := s.visit(at.ServiceURL, tt.token)
			if resp.StatusCode != tt.status {
				t.Fatalf("status %d: %s", resp.StatusCode, body)
			}
			if tt.status != 200 {
				code, message := answer{body: body}.problem(t)
				if code != tt.code || !strings.Contains(message, tt.says) || tt.token != "" && strings.Contains(body, tt.token) {
					t.Errorf("%s", body)
				}
			}
		})
	}
}

// TestServiceUnreachable: what is said when nothing answers.
func TestServiceUnreachable(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	at := s.shared(map[string]any{"port": 81})
	resp, body := s.visit(at.ServiceURL, at.Token)
	if code, message := (answer{body: body}).problem(t); resp.StatusCode != http.StatusBadGateway || code != codeConnection || !strings.Contains(message, "Service is not reachable") {
		t.Errorf("status %d: %s", resp.StatusCode, body)
	}
	s.want(204, "DELETE", "/boxes/"+s.sb.Name, nil)
	if resp, body := s.visit(at.ServiceURL, at.Token); resp.StatusCode != http.StatusNotFound {
		t.Errorf("after the sandbox: status %d: %s", resp.StatusCode, body)
	}
}

// TestServiceStreams: an answer arrives as it is made, and both ways of a
// connection work.
func TestServiceStreams(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	more := make(chan struct{})
	s.serve = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ws" {
			conn, err := websocket.Accept(w, r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.CloseNow()
			kind, data, err := conn.Read(r.Context())
			if err == nil {
				err = conn.Write(r.Context(), kind, data)
			}
			if err != nil {
				t.Error(err)
			}
			return
		}
		fmt.Fprintln(w, "first")
		_ = http.NewResponseController(w).Flush()
		<-more
		fmt.Fprintln(w, "second")
	}
	at := s.shared(map[string]any{"port": 3000})
	r := s.request("GET", at.ServiceURL, nil)
	r.Header.Set(serviceTokenHeader, at.Token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	if line, err := lines.ReadString('\n'); line != "first\n" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
	close(more)
	if line, err := lines.ReadString('\n'); line != "second\n" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
	conn, _, err := websocket.Dial(t.Context(), at.ServiceURL+"ws", &websocket.DialOptions{HTTPHeader: http.Header{serviceTokenHeader: {at.Token}}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, data, err := conn.Read(t.Context()); string(data) != "hello" || err != nil {
		t.Errorf("%q, %v", data, err)
	}
}

// TestServiceStopEndsConnections: a connection into a sandbox ends with it.
func TestServiceStopEndsConnections(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.serve = func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err == nil {
			defer conn.CloseNow()
			_, _, _ = conn.Read(context.WithoutCancel(r.Context()))
		}
	}
	at := s.shared(map[string]any{"port": 3000})
	conn, _, err := websocket.Dial(t.Context(), at.ServiceURL, &websocket.DialOptions{HTTPHeader: http.Header{serviceTokenHeader: {at.Token}}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	s.want(204, "POST", "/boxes/"+s.sb.Name+"/stop", nil)
	if _, _, err := conn.Read(t.Context()); err == nil {
		t.Error("the connection is still there")
	}
}

// TestServiceRelocation: redirects of a service that knows nothing of its path
// here lead back to it, and others stay as they are.
func TestServiceRelocation(t *testing.T) {
	t.Parallel()
	p := passage{visit: serviceVisit{prefix: "/svc/x--1"}}
	for location, want := range map[string]string{
		"/login?a=b#c":        "/svc/x--1/login?a=b#c",
		"/a%2Fb":              "/svc/x--1/a%2Fb",
		"/":                   "/svc/x--1/",
		"http://here:1/login": "/svc/x--1/login",
		"login":               "login",
		"?x":                  "?x",
		"/svc/x--1/login":     "/svc/x--1/login",
		"http://here:2/login": "http://here:2/login",
		"https://else.test/x": "https://else.test/x",
		"//else.test/x":       "//else.test/x",
		"mailto:x":            "mailto:x",
		"http://else.test:1":  "http://else.test:1",
		"/svc/x--10/v2":       "/svc/x--1/svc/x--10/v2",
	} {
		if got := p.relocate("here:1", location); got != want {
			t.Errorf("%s became %s, want %s", location, got, want)
		}
	}
}

// TestServiceLogs: no token gets into the log.
func TestServiceLogs(t *testing.T) {
	t.Parallel()
	var log lockedText
	s := newShop(t, logTo(&log))
	at := s.shared(map[string]any{"port": 3000})
	s.visit(at.ServiceURL, at.Token)
	s.send(s.browser(), s.request("GET", at.BrowserURL, nil))
	a := s.want(200, "POST", "/boxes/"+s.sb.Name+"/download-url", map[string]any{"path": "/a"})
	link := decode[gen.DownloadURL](t, a)
	u, _ := url.Parse(link.DownloadURL)
	s.do(request("GET", u.EscapedPath(), nil))
	for _, token := range []string{at.Token, link.Token} {
		if strings.Contains(log.String(), token) {
			t.Error("a token is in the log")
		}
	}
	if !strings.Contains(log.String(), "/dl/...") || !strings.Contains(log.String(), "/_svc/auth") {
		t.Errorf("requests are missing in the log:\n%s", log.String())
	}
}

// lockedText is read while others write.
type lockedText struct {
	mu sync.Mutex
	strings.Builder
}

func (l *lockedText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.Write(b)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.String()
}
