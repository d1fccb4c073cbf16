package sandboxauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/langsandbox/sandbox-go/internal/leaktest"
	"github.com/langsandbox/sandbox-go/sandboxauth"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Run(m)) }

// api is a transport that answers with keys.
type api struct {
	mu      sync.Mutex
	pairs   []pair
	answer  func(*http.Request) (*http.Response, error) // instead
	fetches []string
}

func newAPI(pairs ...pair) *api { return &api{pairs: pairs} }

func (a *api) verifier(tb testing.TB) *sandboxauth.Verifier {
	tb.Helper()
	v, err := sandboxauth.NewVerifier(&sandboxauth.Config{Endpoint: issuer + "/v2/sandboxes", UserIssuer: issuer, CallbackIssuer: hooksIssuer + "/", HTTPClient: &http.Client{Transport: a}})
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func (a *api) set(pairs ...pair) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pairs = pairs
}

func (a *api) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.fetches)
}

// RoundTrip answers with the present keys.
func (a *api) RoundTrip(req *http.Request) (*http.Response, error) {
	a.mu.Lock()
	a.fetches = append(a.fetches, req.URL.String())
	answer := a.answer
	keys := []any{}
	for _, p := range a.pairs {
		keys = append(keys, p.jwk)
	}
	a.mu.Unlock()
	if answer != nil {
		return answer(req)
	}
	data, err := json.Marshal(map[string]any{"keys": keys})
	return reply(http.StatusOK, string(data)), err
}

func reply(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

// TestKeyRotation: a new key is found at once, but not more often than every
// 30 seconds, and one that is gone is not used for longer than five minutes.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first, second := edPair("1"), edPair("2")
		a := newAPI(first)
		v := a.verifier(t)
		check := func(p pair, good bool, fetches int) {
			t.Helper()
			_, err := v.User(t.Context(), p.token(nil, said(nil)), host)
			if (err == nil) != good || err != nil && !errors.Is(err, sandboxauth.ErrToken) || a.count() != fetches {
				t.Errorf("%v after %d fetches, want %d", err, a.count(), fetches)
			}
		}
		check(first, true, 1)
		check(second, false, 1) // too soon
		a.set(second)
		time.Sleep(29 * time.Second)
		check(second, false, 1)
		time.Sleep(time.Second)
		check(second, true, 2)
		check(first, false, 2)
		a.set()
		time.Sleep(299 * time.Second)
		check(second, true, 2)
		time.Sleep(time.Second)
		check(second, false, 3)
		if a.fetches[0] != issuer+"/.well-known/jwks.json" {
			t.Errorf("keys come from %s", a.fetches[0])
		}
	})
}

// TestOneFetch: all who need keys wait for one request, which goes on while
// one of them is left, and ends with the last.
func TestOneFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := edPair("k")
		a := newAPI(p)
		v := a.verifier(t)
		release := make(chan struct{})
		var ended error
		a.answer = func(req *http.Request) (*http.Response, error) {
			select {
			case <-release:
				data, err := json.Marshal(map[string]any{"keys": []any{p.jwk}})
				return reply(http.StatusOK, string(data)), err
			case <-req.Context().Done():
				ended = req.Context().Err()
				return nil, ended
			}
		}
		var waiting sync.WaitGroup
		leaver, leave := context.WithCancel(t.Context())
		waiting.Go(func() {
			if _, err := v.User(leaver, p.token(nil, said(nil)), host); !errors.Is(err, context.Canceled) {
				t.Errorf("who left got %v", err)
			}
		})
		synctest.Wait()
		leave()
		synctest.Wait()
		if !errors.Is(ended, context.Canceled) {
			t.Errorf("nobody waits, and the fetch ended with %v", ended)
		}
		for range 10 {
			waiting.Go(func() {
				if _, err := v.User(t.Context(), p.token(nil, said(nil)), host); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(release)
		waiting.Wait()
		if a.count() != 2 {
			t.Errorf("%d fetches, want 2", a.count())
		}
	})
}

// TestKeysUnavailable: keys that cannot be had say nothing about a token, are
// not asked for again at once, and late ones are not waited for.
func TestKeysUnavailable(t *testing.T) {
	t.Parallel()
	p := edPair("k")
	for name, answer := range map[string]func(*http.Request) (*http.Response, error){
		"an error":   func(*http.Request) (*http.Response, error) { return nil, errors.New("no network") },
		"no success": func(*http.Request) (*http.Response, error) { return reply(http.StatusBadGateway, "{}"), nil },
		"no JSON":    func(*http.Request) (*http.Response, error) { return reply(http.StatusOK, "<html>"), nil },
		"no list":    func(*http.Request) (*http.Response, error) { return reply(http.StatusOK, "{}"), nil },
		"too much": func(*http.Request) (*http.Response, error) {
			return reply(http.StatusOK, `{"keys":[`+strings.Repeat(" ", 2<<20)+`]}`), nil
		},
		"a redirect": func(*http.Request) (*http.Response, error) {
			r := reply(http.StatusFound, "")
			r.Header.Set("Location", "https://evil.test/keys")
			return r, nil
		},
		"silence": func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := newAPI(p)
				a.answer = answer
				v := a.verifier(t)
				begin := time.Now()
				for range 3 {
					if _, err := v.User(t.Context(), p.token(nil, said(nil)), host); !errors.Is(err, sandboxauth.ErrKeys) || errors.Is(err, sandboxauth.ErrToken) {
						t.Errorf("error %v", err)
					}
				}
				if a.count() != 1 || time.Since(begin) > 10*time.Second {
					t.Errorf("%d fetches in %v", a.count(), time.Since(begin))
				}
				a.answer = nil
				time.Sleep(5 * time.Second)
				if _, err := v.User(t.Context(), p.token(nil, said(nil)), host); err != nil {
					t.Errorf("later: %v", err)
				}
			})
		})
	}
}

// TestKeys: keys that are of no use are left out, and of two with one name
// there is the first.
func TestKeys(t *testing.T) {
	t.Parallel()
	with := func(p pair, name string, value any) pair {
		jwk := maps.Clone(p.jwk)
		jwk[name] = value
		return pair{p.algorithm, jwk, p.sign}
	}
	good, twin := edPair("good"), edPair("good")
	small := rsaPair("small", "RS256")
	small.jwk["n"] = b64(make([]byte, 128))
	for name, p := range map[string]pair{
		"for encryption":     with(edPair("k"), "use", "enc"),
		"to sign":            with(edPair("k"), "key_ops", []string{"sign"}),
		"another algorithm":  with(edPair("k"), "alg", "ES256"),
		"another curve":      with(edPair("k"), "crv", "X25519"),
		"short":              with(edPair("k"), "x", "AAAA"),
		"a secret":           with(edPair("k"), "kty", "oct"),
		"no numbers":         with(edPair("k"), "x", 1),
		"small":              small,
		"RSA for anything":   with(rsaPair("k", "RS256"), "alg", ""),
		"an exponent of one": with(rsaPair("k", "RS256"), "e", "AQ"),
		"an even exponent":   with(rsaPair("k", "RS256"), "e", "AQAA"),
		"a twin":             twin,
	} {
		v := newAPI(good, p).verifier(t)
		if _, err := v.User(t.Context(), p.token(nil, said(nil)), host); !errors.Is(err, sandboxauth.ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := v.User(t.Context(), good.token(nil, said(nil)), host); err != nil {
			t.Errorf("%s spoils the others: %v", name, err)
		}
	}
}

// TestConfig: where keys may come from.
func TestConfig(t *testing.T) {
	t.Parallel()
	for endpoint, good := range map[string]bool{
		"":                         true,
		"https://api.test/v2/x?y":  true,
		"http://127.0.0.1:8080":    true,
		"http://localhost":         true,
		"http://[::1]:80":          true,
		"http://api.test":          false,
		"ftp://api.test":           false,
		"api.test":                 false,
		"https://user:p@api.test/": false,
		"https://":                 false,
	} {
		if _, err := sandboxauth.NewVerifier(&sandboxauth.Config{Endpoint: endpoint}); (err == nil) != good || err != nil && strings.Contains(err.Error(), "user:p") {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
	if _, err := sandboxauth.NewVerifier(&sandboxauth.Config{Endpoint: "http://api.test", AllowPlaintext: true}); err != nil {
		t.Error(err)
	}
	if _, err := sandboxauth.NewVerifier(nil); err != nil {
		t.Error(err)
	}
}
