package sandboxserver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
)

const testKey = "test-key"

// bench is a server under test and a client that speaks plain HTTP.
type bench struct {
	t      *testing.T
	server *Server
	fake   *fakeRuntime // nil with a real runtime
}

// newBench starts a server on a fake runtime.
func newBench(t *testing.T, change ...func(*Config)) *bench {
	t.Helper()
	fake := newFakeRuntime()
	cfg := Config{APIKey: testKey, runtime: fake}
	for _, f := range change {
		f(&cfg)
	}
	server, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if n := fake.running(); n != 0 {
			t.Errorf("%d sandboxes left running", n)
		}
	})
	return &bench{t: t, server: server, fake: fake}
}

// answer is a response, read.
type answer struct {
	status int
	header http.Header
	body   string
}

// problem returns code and message of an error answer; for a list of problems
// the code is empty.
func (a answer) problem(t *testing.T) (code, message string) {
	t.Helper()
	var envelope struct {
		Detail json.RawMessage `json:"detail"`
	}
	if err := json.Unmarshal([]byte(a.body), &envelope); err != nil {
		t.Fatalf("no envelope: %v: %s", err, a.body)
	}
	var object gen.ErrorObject
	if json.Unmarshal(envelope.Detail, &object) == nil {
		return object.Error, object.Message
	}
	var fields []gen.FieldError
	if err := json.Unmarshal(envelope.Detail, &fields); err != nil || len(fields) == 0 {
		t.Fatalf("detail is neither an object nor a list: %s", a.body)
	}
	var messages []string
	for _, f := range fields {
		if f.Type != "value_error" || len(f.Loc) == 0 {
			t.Errorf("item without type or place: %+v", f)
		}
		messages = append(messages, f.Msg)
	}
	return "", strings.Join(messages, "; ")
}

// places returns where the problems of a 422 are, as "body.resources.cpu".
func (a answer) places(t *testing.T) []string {
	t.Helper()
	var list struct {
		Detail []gen.FieldError `json:"detail"`
	}
	if err := json.Unmarshal([]byte(a.body), &list); err != nil {
		t.Fatalf("no list of problems: %s", a.body)
	}
	var out []string
	for _, f := range list.Detail {
		out = append(out, strings.Trim(strings.ReplaceAll(fmt.Sprint(f.Loc), " ", "."), "[]"))
	}
	slices.Sort(out)
	return out
}

func decode[T any](t *testing.T, a answer) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("status %d: %v: %s", a.status, err, a.body)
	}
	return v
}

func (b *bench) do(r *http.Request) answer {
	b.t.Helper()
	w := httptest.NewRecorder()
	b.server.ServeHTTP(w, r)
	a := answer{status: w.Code, header: w.Header(), body: w.Body.String()}
	b.conforms(r, a)
	return a
}

func request(method, path string, body any) *http.Request {
	var reader io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(body)
	default:
		data, err := json.Marshal(body)
		if err != nil {
			panic(err)
		}
		reader = bytes.NewReader(data)
	}
	r := httptest.NewRequestWithContext(context.Background(), method, "http://localhost:1234"+path, reader)
	r.Header.Set("X-Api-Key", testKey)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

// call sends a request to the control plane.
func (b *bench) call(method, path string, body any) answer {
	b.t.Helper()
	return b.do(request(method, "/v2/sandboxes"+path, body))
}

// want is call for requests that have to end with a status.
func (b *bench) want(status int, method, path string, body any) answer {
	b.t.Helper()
	a := b.call(method, path, body)
	if a.status != status {
		b.t.Fatalf("%s %s: status %d, want %d: %s", method, path, a.status, status, a.body)
	}
	return a
}

// refused checks status and code of an error, and words of its message.
func (b *bench) refused(a answer, status int, code string, words ...string) {
	b.t.Helper()
	gotCode, message := a.problem(b.t)
	if a.status != status || gotCode != code {
		b.t.Errorf("status %d code %q, want %d %q: %s", a.status, gotCode, status, code, a.body)
	}
	for _, word := range words {
		if !strings.Contains(message, word) {
			b.t.Errorf("message %q lacks %q", message, word)
		}
	}
}

func (b *bench) box(body map[string]any) gen.Sandbox {
	b.t.Helper()
	return decode[gen.Sandbox](b.t, b.want(201, "POST", "/boxes", body))
}

func (b *bench) template(name string, more map[string]any) gen.Template {
	b.t.Helper()
	body := map[string]any{"name": name, "image": "python:3.12-slim"}
	maps.Copy(body, more)
	return decode[gen.Template](b.t, b.want(201, "POST", "/templates", body))
}

func (b *bench) status(name string) gen.StatusReport {
	b.t.Helper()
	return decode[gen.StatusReport](b.t, b.want(200, "GET", "/boxes/"+name+"/status", nil))
}

func (b *bench) usage() gen.Usage {
	b.t.Helper()
	return decode[gen.Usage](b.t, b.want(200, "GET", "/usage", nil))
}

// dataplane returns the path of a sandbox's dataplane_url.
func dataplane(s gen.Sandbox) string {
	return strings.TrimPrefix(s.DataplaneURL, "http://localhost:1234")
}

func (b *bench) execute(s gen.Sandbox, body any) answer {
	b.t.Helper()
	return b.do(request("POST", dataplane(s)+"/execute", body))
}

// run executes a command that has to end well.
func (b *bench) run(s gen.Sandbox, command string) gen.ExecuteResult {
	b.t.Helper()
	a := b.execute(s, map[string]any{"command": command})
	if a.status != 200 {
		b.t.Fatalf("%s: status %d: %s", command, a.status, a.body)
	}
	return decode[gen.ExecuteResult](b.t, a)
}

func (b *bench) upload(s gen.Sandbox, path string, content string) answer {
	b.t.Helper()
	return b.do(uploadRequest(dataplane(s)+"/upload?path="+path, "file", content))
}

func uploadRequest(url, field, content string) *http.Request {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, _ := form.CreateFormFile(field, "file")
	_, _ = io.WriteString(part, content)
	_ = form.Close()
	r := request("POST", url, body.String())
	r.Header.Set("Content-Type", form.FormDataContentType())
	return r
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// logTo collects the log of a server; its handler does the locking.
func logTo(w io.Writer) func(*Config) {
	return func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
}
