package sandboxclient_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// FuzzErrorBody: whatever a server sends with an error, there is an error that
// keeps the status and says something.
func FuzzErrorBody(f *testing.F) {
	for _, body := range []string{
		"", "null", "7", `"text"`, "[]", "<html>", `{"detail":null}`, `{"detail":"m"}`, `{"detail":{"error":"C","message":"m","error_id":"e"}}`,
		`{"detail":[{"loc":["body",0,null,{}],"msg":"m","type":"value_error"},null,7]}`, `{"detail":[[[`, `{"message":"m"}`, "{\"detail\":\"\xff\"}",
	} {
		f.Add(400, body)
		f.Add(503, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 300 || status > 999 {
			return
		}
		c := client(t, &fake{answer: always(status, body)})
		for _, err := range []error{
			second(c.Create(context.Background(), nil)),               //nolint:usetesting // a fuzz target has no context of its own here
			second(box(c).Execute(context.Background(), "true", nil)), //nolint:usetesting // as above
		} {
			api, ok := errors.AsType[*sandboxclient.APIError](err)
			if !ok || api.StatusCode != status || strings.TrimSpace(api.Message) == "" && api.Code == "" {
				t.Fatalf("%d %q became %#v", status, body, err)
			}
			if text := err.Error(); !strings.HasPrefix(text, api.Op) || len(text) > len(body)*6+1000 {
				t.Errorf("%d %q became the text %q", status, body, text)
			}
			for _, field := range api.Fields {
				_ = field.Field()
			}
		}
	})
}

// FuzzAnswer: whatever a server sends with a success, there is a value or an
// error that says that the outcome is unknown.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{"", "null", "{}", `{"name":"a","status":"x","created_at":"2026-01-01T00:00:00Z"}`, `{"created_at":"x"}`, `{"vcpus":1e99}`, `{"stdout":"\ud800","exit_code":-1}`} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		c := client(t, &fake{answer: always(200, body)})
		sb, err := c.Create(context.Background(), nil) //nolint:usetesting // a fuzz target has no context of its own here
		if (sb == nil) == (err == nil) || err != nil && !errors.Is(err, sandboxclient.ErrOutcomeUnknown) {
			t.Errorf("%q became %v, %v", body, sb, err)
		}
		res, err := box(c).Execute(context.Background(), "true", nil) //nolint:usetesting // as above
		if (res == nil) == (err == nil) || err != nil && !errors.Is(err, sandboxclient.ErrProtocol) {
			t.Errorf("%q became %v, %v", body, res, err)
		}
	})
}

// FuzzEndpoint: an address is refused, or requests go to its host below its
// path; a password is never repeated.
func FuzzEndpoint(f *testing.F) {
	for _, raw := range []string{
		"https://h.test", "http://127.0.0.1:8080/a/", "https://h.test/a%2Fb?x#y", "ftp://h", "h.test", "https://", "https://u:hunter2@h",
		"//h", "https://[::1]:1/", "https://h.test/%zz", "https://h.test/../a", "https://h test/", "HTTPS://H.TEST//", "https://h.test/?", "https:h.test",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		fk := &fake{answer: always(200, "{}")}
		c, err := sandboxclient.New(
			sandboxclient.WithEnvironment(func(string) string { return "" }), sandboxclient.WithEndpoint(raw),
			sandboxclient.WithHTTPClient(&http.Client{Transport: fk}), sandboxclient.WithPlaintext(),
		)
		if err != nil {
			if !errors.Is(err, sandboxclient.ErrInvalid) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q: error %v", raw, err)
			}
			return
		}
		base, err := url.Parse(c.Endpoint())
		if err != nil || base.User != nil || base.RawQuery != "" || base.Fragment != "" || base.Host == "" {
			t.Fatalf("%q became %q: %v", raw, c.Endpoint(), err)
		}
		if _, err := c.Get(context.Background(), "a"); err != nil { //nolint:usetesting // a fuzz target has no context of its own here
			return // net/http has the last word on hosts
		}
		seen := fk.requests()[0]
		if host := strings.TrimSuffix(base.Host, ":"); seen.host != host || !strings.HasSuffix(seen.path, "/boxes/a") || seen.query != "" {
			t.Errorf("%q: sent to %s%s?%s, want below %s", raw, seen.host, seen.path, seen.query, base)
		}
	})
}

// FuzzSegmentEscaping: whatever the name, a request is for that name in that
// place, or there is none.
func FuzzSegmentEscaping(f *testing.F) {
	for _, name := range []string{"box1", "", ".", "..", "a/b", "../x", "a%2Fb", "ü", "a?b#c", "a\x00b", "a;b", "a:b", "%", "..%2f", "\xff", "a+b", "~", "*", "//", `\`} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		fk := &fake{answer: always(200, `{"name":"x"}`)}
		c := client(t, fk)
		for route, do := range namedCalls {
			before := len(fk.requests())
			err := do(context.Background(), c, name) //nolint:usetesting // a fuzz target has no context of its own here
			sent := fk.requests()[before:]
			if _, refused := errors.AsType[*sandboxclient.ArgumentError](err); refused {
				if len(sent) != 0 {
					t.Errorf("%s: %q was refused and sent", route, name)
				}
				continue
			}
			if err != nil || len(sent) != 1 {
				t.Fatalf("%s: %q: %d requests, error %v", route, name, len(sent), err)
			}
			_, path, _ := strings.Cut(strings.TrimSuffix(route, " (nothing to change)"), " ")
			want := strings.Split("/v2/sandboxes"+path, "/")
			got := strings.Split(sent[0].path, "/")
			if len(got) != len(want) {
				t.Fatalf("%s: %q was sent as %q", route, name, sent[0].path)
			}
			for i := range want {
				decoded := unescape(t, got[i])
				if w := strings.ReplaceAll(want[i], "%s", name); decoded != w {
					t.Errorf("%s: %q was sent as %q (valid UTF-8: %t)", route, name, sent[0].path, utf8.ValidString(name))
				}
			}
		}
	})
}
