package sandboxtest_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxtest"
)

func record(t *testing.T, tb testing.TB, session func(rt http.RoundTripper, url string)) (tape string) { //nolint:thelper // two tests
	path := filepath.Join(t.TempDir(), "a.tape")
	within(t, func(t *testing.T) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/early":
				w.WriteHeader(http.StatusRequestEntityTooLarge)
			case "/cut":
				w.Header().Set("Content-Length", "10")
				_, _ = io.WriteString(w, "part")
			case "/endless":
				for r.Context().Err() == nil {
					_, _ = w.Write(make([]byte, 64<<10))
				}
			default:
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"url":"http://`+r.Host+`/x","token":"secret-of-server"}`)
			}
		}))
		t.Cleanup(server.Close)
		to := tb
		if to == nil {
			to = t
		}
		session(sandboxtest.Record(to, path, nil), server.URL)
	})
	if r, ok := tb.(*recorder); ok {
		r.end()
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(raw)
}

func TestRecordHandsOnAndLeavesTheCallers(t *testing.T) {
	t.Parallel()
	tape := record(t, nil, func(rt http.RoundTripper, url string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/x?token=secret-of-client", strings.NewReader("secret-of-client"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Api-Key", "the-key-of-all")
		req.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate")
		header, body := req.Header.Clone(), req.Body
		resp, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		if err != nil || string(got) != `{"url":"`+url+`/x","token":"secret-of-server"}` {
			t.Errorf("%s %v", got, err)
		}
		if len(header) != len(req.Header) || req.Body != body || resp.Request != req {
			t.Errorf("the request was changed: %v", req.Header)
		}
	})
	want := tapeHead + `{"n":1,"request":{"method":"POST","url":"http://127.0.0.1:1/x?token=REDACTED","header":{"X-Api-Key":["REDACTED"]},"text":"REDACTED"}}
{"n":1,"answer":{"status":200,"header":{"Content-Length":["49"],"Content-Type":["application/json"]},"text":"{\"url\":\"http://127.0.0.1:1/x\",\"token\":\"REDACTED\"}"}}
`
	if tape != want {
		t.Errorf("tape:\n%s\nwant:\n%s", tape, want)
	}
}

func TestRecordEndings(t *testing.T) {
	t.Parallel()
	tape := record(t, nil, func(rt http.RoundTripper, url string) {
		if _, _, err := send(t.Context(), rt, "GET", url+"/cut", ""); err == nil {
			t.Error("it came whole")
		}
		if _, _, err := send(t.Context(), rt, "GET", "http://127.0.0.1:0/", ""); err == nil {
			t.Error("something answers")
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/endless", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.CopyN(io.Discard, resp.Body, 10)
		if closeErr := resp.Body.Close(); err != nil || closeErr != nil {
			t.Error(err, closeErr)
		}
	})
	for _, want := range []string{`"text":"part","end":"cut"`, `"error":"dial tcp`, `"end":"unread"`} {
		if !strings.Contains(tape, want) {
			t.Errorf("the tape lacks %s:\n%s", want, tape)
		}
	}
}

// TestRecordOfAFailure does not take the place of a good tape.
func TestRecordOfAFailure(t *testing.T) {
	t.Parallel()
	r := &recorder{TB: t}
	tape := record(t, r, func(rt http.RoundTripper, url string) {
		_, _, _ = send(t.Context(), rt, "GET", url, "")
		r.Errorf("it fails")
	})
	if tape != "" || len(r.errors) != 1 || len(r.logs) != 1 {
		t.Errorf("%s %v %v", tape, r.errors, r.logs)
	}
}

func TestRecordOfTooMuch(t *testing.T) {
	t.Parallel()
	r := &recorder{TB: t}
	tape := record(t, r, func(rt http.RoundTripper, url string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/endless", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.CopyN(io.Discard, resp.Body, 65<<20); n != 65<<20 || err != nil {
			t.Error(n, err)
		}
		_ = resp.Body.Close()
	})
	if tape != "" {
		t.Error("there is a tape")
	}
	failedWith(t, r, "more than 64 MiB")
}

// TestRecordOfARepetition: what is sent again is taped once.
func TestRecordOfARepetition(t *testing.T) {
	t.Parallel()
	again := roundTripper(func(req *http.Request) (*http.Response, error) {
		_, _ = io.CopyN(io.Discard, req.Body, 2)
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		sent, err := io.ReadAll(body)
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(sent)), Request: req}, err
	})
	path := filepath.Join(t.TempDir(), "a.tape")
	within(t, func(t *testing.T) {
		asks(t, sandboxtest.Record(t, path, again), "PUT", "http://h/a", "hello", 200, "hello")
	})
	within(t, func(t *testing.T) { asks(t, sandboxtest.Replay(t, path), "PUT", "http://h/a", "hello", 200, "hello") })
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
