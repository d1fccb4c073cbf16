package sandboxclient_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

func TestT153BinaryDownload(t *testing.T) {
	t.Parallel()
	const content = "\x00\x01\x02\x03"
	sb := box(client(t, &fake{answer: always(200, content)}))
	whole, err := sb.ReadFile(t.Context(), "/f")
	if err != nil || string(whole) != content {
		t.Errorf("%q, %v", whole, err)
	}
	d, err := sb.Download(t.Context(), "/f", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if got, err := io.ReadAll(d); err != nil || string(got) != content {
		t.Errorf("%q, %v", got, err)
	}
}

func TestT193NoSandbox(t *testing.T) {
	t.Parallel()
	f := &fake{answer: always(404, `{"detail":{"error":"NotFound","message":"m"}}`)}
	if _, err := box(client(t, f)).DownloadURL(t.Context(), "/f", nil); !errors.Is(err, sandboxclient.ErrNotFound) {
		t.Errorf("link: %v", err)
	}
	if _, err := box(client(t, f)).Service(80, nil).Token(t.Context()); !errors.Is(err, sandboxclient.ErrNotFound) {
		t.Errorf("service: %v", err)
	}
}

// TestT194LinkWithoutKey: the HTTP client that was given to the SDK, and would
// be used for a link, knows no key.
func TestT194LinkWithoutKey(t *testing.T) {
	t.Parallel()
	f := &fake{answer: always(200, `{"download_url":"https://dl.test/t","token":"t","expires_at":null}`)}
	hc := &http.Client{Transport: f}
	link, err := box(client(t, f, sandboxclient.WithHTTPClient(hc))).DownloadURL(t.Context(), "/f", nil)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link.DownloadURL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := hc.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if r := f.requests(); len(r) != 2 || r[0].header.Get("X-Api-Key") != fakeKey || r[1].header.Values("X-Api-Key") != nil {
		t.Errorf("requests %+v", r)
	}
}

// TestT199AllOfTheAnswer: a renewal replaces more than the token.
func TestT199AllOfTheAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service := box(client(t, minting(10*time.Second, time.Hour))).Service(80, nil)
		first, err := service.Get(t.Context())
		second, err2 := service.Get(t.Context())
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		if first.Token == second.Token || first.BrowserURL == second.BrowserURL || first.ExpiresAt == second.ExpiresAt || second.ServiceURL == "" {
			t.Errorf("first %+v, second %+v", first, second)
		}
	})
}

func TestT202ExpiryWithoutZone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		f := &fake{answer: func(int, *http.Request) (*http.Response, error) {
			n++
			return reply(200, fmt.Sprintf(`{"service_url":"https://s.test/","token":"token-%d","expires_at":%q}`,
				n, time.Now().UTC().Add(10*time.Second).Format("2006-01-02T15:04:05"))), nil
		}}
		service := box(client(t, f)).Service(80, nil)
		for _, want := range []string{"token-1", "token-2"} {
			if got, err := service.Token(t.Context()); got != want || err != nil {
				t.Errorf("%q, %v, want %s", got, err, want)
			}
		}
	})
}

// TestT204Join has the address encrypted, as the endpoint is.
func TestT204Join(t *testing.T) {
	t.Parallel()
	f := &fake{answer: always(200, `{"service_url":"https://abc123--3000.svc.example.com/","token":"t","expires_at":"2999-01-01T00:00:00Z"}`)}
	resp, err := visitService(t, box(client(t, f)).Service(3000, nil), "/api/data")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	r := f.requests()[1]
	if r.host+r.path != "abc123--3000.svc.example.com/api/data" || r.header.Get(serviceTokenHeader) != "t" {
		t.Errorf("request %+v", r)
	}
}

func TestT206RenewedForTheRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := minting(time.Second, time.Hour)
		service := box(client(t, f)).Service(80, nil)
		if token, err := service.Token(t.Context()); token != "token-1" || err != nil {
			t.Fatalf("%q, %v", token, err)
		}
		resp, err := visitService(t, service, "/path")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		last := f.requests()[len(f.requests())-1]
		if mints(f) != 2 || last.path != "/path" || last.header.Get(serviceTokenHeader) != "token-2" {
			t.Errorf("%d mints, request %+v", mints(f), last)
		}
	})
}

// TestT208Login: without a token there is nothing to renew, however long it
// lasts.
func TestT208Login(t *testing.T) {
	t.Parallel()
	for want, addresses := range map[string]string{
		"https://browser.test/": `"browser_url":"https://browser.test/","service_url":"https://service.test/"`,
		"https://service.test/": `"service_url":"https://service.test/"`,
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{answer: always(200, `{"access":"workspace",`+addresses+`}`)}
			service := box(client(t, f)).Service(80, &sandboxclient.ServiceOptions{Access: sandboxclient.ServiceWorkspace})
			for range 2 {
				u, err := service.BrowserURL(t.Context())
				token, err2 := service.Token(t.Context())
				if err := errors.Join(err, err2); err != nil || u.String() != want || token != "" {
					t.Errorf("%v, token %q, %v, want %s", u, token, err, want)
				}
				time.Sleep(48 * time.Hour)
			}
			if mints(f) != 1 {
				t.Errorf("%d mints", mints(f))
			}
		})
	}
}

func TestT209OneMintAtExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := minting(time.Minute, time.Hour)
		service := box(client(t, f)).Service(80, nil)
		if _, err := service.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		var all sync.WaitGroup
		tokens := make([]string, 10)
		for i := range tokens {
			all.Go(func() { tokens[i], _ = service.Token(t.Context()) })
		}
		all.Wait()
		if got := strings.Join(tokens, " "); got != strings.TrimSpace(strings.Repeat("token-2 ", 10)) || mints(f) != 2 {
			t.Errorf("%d mints, tokens %s", mints(f), got)
		}
	})
}
