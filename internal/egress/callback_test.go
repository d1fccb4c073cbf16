package egress

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/langsandbox/sandbox-go/gen"
)

// TestCallback: an endpoint says which headers to add, is asked once while its
// answer holds, and what fails fails the request.
func TestCallback(t *testing.T) {
	t.Parallel()
	b := newBench(t, Policy{Allow: []string{"*"}}, gen.ProxyConfig{
		AccessControl: gen.AccessControl{AllowList: []string{"api.test"}}, // the endpoint is the server's to reach
		Callbacks: []gen.ProxyCallback{{
			MatchHosts: []string{"api.test"}, URL: "http://other.test/headers", TTLSeconds: 60,
			RequestHeaders: []gen.ProxyHeader{header(gen.ProxyHeaderPlaintext, "x-caller", "me")},
		}},
	})
	b.serveTLS(public+":443", http.HandlerFunc(hello))
	var asked atomic.Int32
	var reply atomic.Pointer[string]
	b.serve("93.184.216.35:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		var body struct {
			Host     string
			Port     int
			Identity map[string]string
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Host != "api.test" || body.Port != 443 ||
			body.Identity["sandbox_id"] != "box-1" || r.Header.Get("X-Caller") != "me" || r.Method != http.MethodPost {
			t.Errorf("%+v %v %v", body, r.Header, err)
		}
		text := *reply.Load()
		if text == "" {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}
		_, _ = w.Write([]byte(text))
	}))
	c := b.client(true)
	for _, bad := range []string{"", "no json", "{}", `{"headers":{"Host":"x"}}`, `{"headers":{"a":"b\n"}}`, `{"headers":{"a":1}}`, `{"headers":{"a":"` + strings.Repeat("x", maxCallbackAnswer) + `"}}`} {
		reply.Store(&bad)
		if got := b.get(c, "https://api.test/"); got.status != http.StatusBadGateway {
			t.Errorf("%.40q: %+v", bad, got)
		}
	}
	before := asked.Load()
	reply.Store(new(`{"headers":{"authorization":"Bearer ` + secret + `"}}`))
	for range 3 {
		if got := b.get(c, "https://api.test/"); got.body != "hello from api.test/ ********************" {
			t.Errorf("%+v", got)
		}
	}
	if n := asked.Load() - before; n != 1 {
		t.Errorf("the endpoint was asked %d times", n)
	}
	b.proxy.Apply(b.proxy.Rules())
	if b.get(c, "https://api.test/"); asked.Load()-before != 2 {
		t.Error("an answer outlives its rules")
	}
	if got := b.get(c, "http://api.test/"); got.status != http.StatusForbidden {
		t.Errorf("%+v", got)
	}
}

// TestCallbackOutOfReach: an endpoint is no way to what the operator does not
// allow.
func TestCallbackOutOfReach(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"http://other.test/", "http://api.test:8080/", "http://inside.test/", "http://127.0.0.1/"} {
		b := newBench(t, Policy{Allow: []string{"api.test", "*.test:81", "inside.test", "127.0.0.1"}}, gen.ProxyConfig{Callbacks: []gen.ProxyCallback{{
			MatchHosts: []string{"api.test"}, URL: address, TTLSeconds: 60,
		}}})
		b.names["inside.test"] = addrs("10.0.0.1")
		if got := b.get(b.client(true), "https://api.test/"); got.status != http.StatusBadGateway {
			t.Errorf("%s: %+v", address, got)
		}
		if _, dialed := b.seen(); len(dialed) > 0 {
			t.Errorf("%s: dialed %v", address, dialed)
		}
	}
}

// TestCallbackSignature: what an endpoint is asked is signed for its address as
// configured, whatever the configuration puts there, or it is not asked.
func TestCallbackSignature(t *testing.T) {
	t.Parallel()
	const address = "http://OTHER.test/headers"
	b := newBench(t, Policy{Allow: []string{"*"}}, gen.ProxyConfig{Callbacks: []gen.ProxyCallback{{
		MatchHosts: []string{"api.test"}, URL: address, TTLSeconds: 60,
		RequestHeaders: []gen.ProxyHeader{header(gen.ProxyHeaderPlaintext, "x-langsmith-signature-jwt", "forged")},
	}}})
	var refuse atomic.Bool
	b.gateway.cfg.Sign = func(address string, body []byte) (string, error) {
		if refuse.Load() {
			return "", errors.New("no key")
		}
		return address + string(body), nil
	}
	b.serveTLS(public+":443", http.HandlerFunc(hello))
	b.serve("93.184.216.35:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if got := r.Header.Values("X-LangSmith-Signature-JWT"); err != nil || len(got) != 1 || got[0] != address+string(body) {
			t.Errorf("%q for %q: %v", got, body, err)
		}
		_, _ = w.Write([]byte(`{"headers":{"a":"b"}}`))
	}))
	if got := b.get(b.client(true), "https://api.test/"); got.status != http.StatusOK {
		t.Errorf("%+v", got)
	}
	_, before := b.seen()
	b.proxy.Apply(b.proxy.Rules())
	refuse.Store(true)
	if got := b.get(b.client(true), "https://api.test/"); got.status != http.StatusBadGateway {
		t.Errorf("%+v", got)
	}
	if _, dialed := b.seen(); len(dialed) != len(before) {
		t.Errorf("dialed %v, after %v", dialed, before)
	}
}

func FuzzReadAnswer(f *testing.F) {
	f.Add(`{"headers":{"a":"b"}}`)
	f.Fuzz(func(t *testing.T, s string) {
		set, ok := readAnswer(strings.NewReader(s))
		for _, field := range set.fields {
			if ok && strings.ContainsAny(field.name+field.value, "\r\n") {
				t.Errorf("%q", field)
			}
		}
	})
}
