package sandboxtest

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestScrubJSON(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"a": "b" , "token":"t","n":1e2}`:                                                        `{"a": "b" , "token":"REDACTED","n":1e2}`,
		`{"env":{"A":"b","C":""},"name":"n"}`:                                                     `{"env":{"A":"REDACTED","C":""},"name":"n"}`,
		`{"run_config":{"env_vars":{"A":"b"},"user":"u"}}`:                                        `{"run_config":{"env_vars":{"A":"REDACTED"},"user":"u"}}`,
		`{"headers":[{"name":"h","type":"opaque","value":"v"},{"value":"p","type":"plaintext"}]}`: `{"headers":[{"name":"h","type":"opaque","value":"REDACTED"},{"value":"p","type":"plaintext"}]}`,
		`{"account_key":{"value":"v","type":"opaque","is_set":true}}`:                             `{"account_key":{"value":"REDACTED","type":"opaque","is_set":true}}`,
		`{"url":"https://u:p@h/?X-Amz-Signature=s\u0026b=c"}`:                                     `{"url":"https://REDACTED@h/?X-Amz-Signature=REDACTED\u0026b=c"}`,
		`{"download_url":"https://h/f?sig=abc"}`:                                                  `{"download_url":"https://h/f?sig=REDACTED"}`,
		`{"browser_url":"https://h/#token=abc"}`:                                                  `{"browser_url":"https://h/#token=REDACTED"}`,
		`{"token":"t","expires_at":"2026-01-02T03:04:05Z"}`:                                       `{"token":"REDACTED","expires_at":"2099-01-01T00:00:00Z"}`,
		`{"name":"t","expires_at":"2026-01-02T03:04:05Z"}`:                                        `{"name":"t","expires_at":"2026-01-02T03:04:05Z"}`,
		`["password","x"]`:    `["password","x"]`,
		`{"passwords":["x"]}`: `{"passwords":["REDACTED"]}`,
		`"token"`:             `"token"`,
		`{"token":"t"`:        `{"token":"t"`,
		`echo token=x`:        `echo token=x`,
	} {
		if got := (&scrubber{}).json(text); got != want {
			t.Errorf("%s\nbecame %s\nwant   %s", text, got, want)
		}
	}
}

func TestScrubRequest(t *testing.T) {
	t.Parallel()
	request := &tapedRequest{
		Method: "POST", URL: "https://h/a?token=secret-of-query&page=2",
		Header:  http.Header{"Authorization": {"Bearer secret-of-header"}, "X-Api-Key": {"short"}, "Content-Type": {"application/json"}, "X-Note": {"secret-of-header"}, "X-Langsmith-Sandbox-Service-Token": {"t"}},
		content: contentOf(`{"password":"secret \"of\" body","command":"echo secret \"of\" body secret-of-query lsv2_pt_0123456789abcdef eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln mine short"}`),
	}
	before := headerText(request.Header) + request.URL + request.String()
	s := scrubberOf([]TapeOption{WithSecrets("", "mine"), WithScrub(func(text string) string { return strings.ReplaceAll(text, "page", "leaf") })})
	want := &tapedRequest{
		Method: "POST", URL: "https://h/a?token=REDACTED&leaf=2",
		Header:  http.Header{"Authorization": {"REDACTED"}, "X-Api-Key": {"REDACTED"}, "Content-Type": {"application/json"}, "X-Note": {"REDACTED"}, "X-Langsmith-Sandbox-Service-Token": {"REDACTED"}},
		content: contentOf(`{"password":"REDACTED","command":"echo REDACTED REDACTED REDACTED REDACTED REDA short"}`),
	}
	got := s.request(request)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(tapedRequest{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if after := headerText(request.Header) + request.URL + request.String(); before != after {
		t.Errorf("the request was changed to %s", after)
	}
	if again := s.request(got); !cmp.Equal(want, again, cmp.AllowUnexported(tapedRequest{})) {
		t.Errorf("twice is not once: %+v", again)
	}
}

// TestScrubbedOutput keeps its length, which offsets count.
func TestScrubbedOutput(t *testing.T) {
	t.Parallel()
	s := &scrubber{}
	s.learn("a-long-enough-secret")
	s.learn("short")
	c := cleaner{scrub: s, names: newTapedNamer()}
	e := c.entry(entry{N: 1, Server: &tapedFrame{Kind: opText, content: contentOf(`{"type":"stdout","data":"a-long-enough-secret short"}`)}})
	if got := e.Server.Text; got != `{"type":"stdout","data":"REDACTED************ short"}` {
		t.Error(got)
	}
}

func FuzzScrubJSON(f *testing.F) {
	f.Add(`{"token":"a","env":{"A":["b",{"c":"d"}]},"url":"https://u@h?key=v","x":[1,null,"\ud800"]}`)
	f.Add(`{"type":"opaque","value":"v","expires_at":"e"}`)
	f.Add("{\"token\":\"\xff\"}")
	f.Fuzz(func(t *testing.T, text string) {
		got := (&scrubber{}).json(text)
		switch {
		case json.Valid([]byte(text)) != json.Valid([]byte(got)):
			t.Fatalf("%q became %q", text, got)
		case !json.Valid([]byte(text)) && text != got:
			t.Fatalf("%q is no JSON, and became %q", text, got)
		}
		if again := (&scrubber{}).json(got); again != got {
			t.Fatalf("%q became %q, and then %q", text, got, again)
		}
	})
}

func TestNames(t *testing.T) {
	t.Parallel()
	const a, b, server = "019a0000-1111-7222-8333-444444444444", "019a0000-1111-7222-8333-555555555555", "019a0000-1111-7222-8333-666666666666"
	namer := newTapedNamer()
	namer.server(server)
	text := "x " + a + " ephemeral-0123456789abcdef " + a + " " + server + " " + b
	taped := namer.client(text)
	if want := "x 00000000-0000-7000-8000-000000000001 ephemeral-0000000000000002 00000000-0000-7000-8000-000000000001 " + server + " 00000000-0000-7000-8000-000000000003"; taped != want {
		t.Fatalf("%s, want %s", taped, want)
	}
	n := names{}
	now := strings.NewReplacer(a, b, b, a, "abcdef", "fedcba").Replace(text)
	if !n.match(taped, now, false) || n.fill(taped) != now {
		t.Errorf("%v", n)
	}
	for _, other := range []string{now + "x", strings.Replace(now, "x", "y", 1), strings.Replace(now, b, server, 1), now[:40], ""} {
		if (names{}).match(taped, other, false) {
			t.Errorf("%q is not %q", other, taped)
		}
	}
	if !(names{}).match("abc", "abcdef", true) || (names{}).match("abc", "abcdef", false) {
		t.Error("beginnings")
	}
}
