package contract_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"
)

// exchange is a request that must come and the answer it gets.
type exchange struct {
	Expect struct {
		Method        string            `json:"method"`
		Path          string            `json:"path"`
		Query         map[string]any    `json:"query"`
		Headers       map[string]string `json:"headers"`
		HeadersAbsent []string          `json:"headers_absent"`
		JSON          any               `json:"json"`
		Multipart     map[string]struct {
			Filename string `json:"filename"`
			Base64   string `json:"base64"`
		} `json:"multipart"`
	} `json:"expect"`
	Reply struct {
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers"`
		JSON    json.RawMessage   `json:"json"`
		Text    *string           `json:"text"`
		Base64  *string           `json:"base64"`
		Drop    any               `json:"drop"`
	} `json:"reply"`
	Wait []float64 `json:"wait_s"`
}

// script is a transport that plays the server's part of a vector.
type script struct {
	op        string
	exchanges []exchange

	mu       sync.Mutex
	next     int
	last     time.Time
	problems []string
}

func (s *script) fail(format string, args ...any) {
	s.problems = append(s.problems, fmt.Sprintf(format, args...))
}

// RoundTrip checks the request against the script and plays the answer.
func (s *script) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == len(s.exchanges) {
		s.fail("a request too many: %s %s", req.Method, req.URL)
		return nil, errors.New("the script is over")
	}
	e := s.exchanges[s.next]
	s.next++
	s.check(req, e)
	s.last = time.Now()
	return e.answer(req)
}

func (s *script) check(req *http.Request, e exchange) {
	where := fmt.Sprintf("request %d", s.next)
	if req.Method != e.Expect.Method {
		s.fail("%s: method %s, want %s", where, req.Method, e.Expect.Method)
	}
	if diff := cmp.Diff(segments(e.Expect.Path), segments(req.URL.EscapedPath())); diff != "" {
		s.fail("%s: path (-want +got):\n%s", where, diff)
	}
	if diff := cmp.Diff(e.query(), req.URL.Query()); diff != "" {
		s.fail("%s: query (-want +got):\n%s", where, diff)
	}
	for key, want := range e.Expect.Headers {
		if got := req.Header.Values(key); len(got) != 1 || got[0] != want {
			s.fail("%s: header %s is %q, want %q once", where, key, got, want)
		}
	}
	for _, key := range e.Expect.HeadersAbsent {
		if got := req.Header.Values(key); len(got) != 0 {
			s.fail("%s: header %s is %q, want none", where, key, got)
		}
	}
	if len(e.Wait) == 2 {
		pause, slack := time.Since(s.last).Seconds(), 0.002
		if pause < e.Wait[0]-slack || pause > e.Wait[1]+slack {
			s.fail("%s: came after %.3f s, want %v", where, pause, e.Wait)
		}
	}
	s.checkBody(where, req, e)
}

func segments(path string) []string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if decoded, err := url.PathUnescape(p); err == nil {
			parts[i] = decoded
		}
	}
	return parts
}

func (e exchange) query() url.Values {
	q := url.Values{}
	for key, v := range e.Expect.Query {
		if list, ok := v.([]any); ok {
			for _, item := range list {
				q.Add(key, fmt.Sprint(item))
			}
			continue
		}
		q.Set(key, fmt.Sprint(v))
	}
	return q
}

func (s *script) checkBody(where string, req *http.Request, e exchange) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			s.fail("%s: read the body: %v", where, err)
		}
		_ = req.Body.Close()
	}
	switch {
	case e.Expect.Multipart != nil:
		s.checkMultipart(where, req, body, e)
	case e.Expect.JSON != nil:
		s.checkJSON(where, req, body, e.Expect.JSON)
	case len(body) > 0:
		s.fail("%s: body %q, want none", where, body)
	}
}

func (s *script) checkJSON(where string, req *http.Request, body []byte, want any) {
	if media, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type")); media != "application/json" {
		s.fail("%s: content type %q", where, req.Header.Get("Content-Type"))
	}
	var got any
	if err := json.Unmarshal(body, &got); err != nil {
		s.fail("%s: body %q: %v", where, body, err)
		return
	}
	if s.op == "Sandbox" {
		dropGeneratedName(got, want)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.fail("%s: body (-want +got):\n%s", where, diff)
	}
}

var generatedName = regexp.MustCompile(`^ephemeral-[0-9a-f]{16}$`)

// dropGeneratedName allows the one member that every auto-deleted sandbox of
// ours has beyond the recorded ones: a name chosen before the request, so that
// a sandbox whose answer was lost can be found.
func dropGeneratedName(got, want any) {
	g, _ := got.(map[string]any)
	w, _ := want.(map[string]any)
	if _, named := w["name"]; named {
		return
	}
	if name, ok := g["name"].(string); ok && generatedName.MatchString(name) {
		delete(g, "name")
	}
}

func (s *script) checkMultipart(where string, req *http.Request, body []byte, e exchange) {
	media, params, _ := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if media != "multipart/form-data" {
		s.fail("%s: content type %q", where, req.Header.Get("Content-Type"))
		return
	}
	form, err := multipart.NewReader(bytes.NewReader(body), params["boundary"]).ReadForm(1 << 20)
	if err != nil {
		s.fail("%s: body: %v", where, err)
		return
	}
	if len(form.Value) != 0 || len(form.File) != len(e.Expect.Multipart) {
		s.fail("%s: %d values and %d files", where, len(form.Value), len(form.File))
	}
	for field, want := range e.Expect.Multipart {
		files := form.File[field]
		if len(files) != 1 || files[0].Filename != want.Filename {
			s.fail("%s: part %s: %v", where, field, files)
			continue
		}
		f, err := files[0].Open()
		if err != nil {
			s.fail("%s: part %s: %v", where, field, err)
			continue
		}
		content, _ := io.ReadAll(f)
		if got := base64.StdEncoding.EncodeToString(content); got != want.Base64 {
			s.fail("%s: part %s is %q, want %q", where, field, got, want.Base64)
		}
	}
}

func (e exchange) answer(req *http.Request) (*http.Response, error) {
	switch e.Reply.Drop {
	case true:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	case "connect_timeout":
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
	case "after_request":
		return nil, io.ErrUnexpectedEOF
	}
	var body []byte
	header := http.Header{}
	switch {
	case e.Reply.JSON != nil:
		body = e.Reply.JSON
		header.Set("Content-Type", "application/json")
	case e.Reply.Text != nil:
		body = []byte(*e.Reply.Text)
	case e.Reply.Base64 != nil:
		var err error
		if body, err = base64.StdEncoding.DecodeString(*e.Reply.Base64); err != nil {
			return nil, err
		}
	}
	for key, value := range e.Reply.Headers {
		header.Set(key, value)
	}
	return &http.Response{
		Status: http.StatusText(e.Reply.Status), StatusCode: e.Reply.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: req,
	}, nil
}
