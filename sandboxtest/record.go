package sandboxtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TapeOption changes what is taken for a secret. A tape is replayed with the
// options that it was recorded with.
type TapeOption func(*scrubber)

// WithSecrets names secrets that are looked for in all that is taped, and
// written as REDACTED. Empty ones are left out; those of fewer than eight bytes
// are looked for, too, so that they should not be part of anything else.
func WithSecrets(secrets ...string) TapeOption {
	return func(s *scrubber) {
		for _, secret := range secrets {
			if secret != "" {
				s.extra = append(s.extra, func(text string) string { return strings.ReplaceAll(text, secret, keep(secret)) })
			}
		}
	}
}

// WithScrub adds a function that takes out secrets of the caller's own kinds.
// It gets each address, value of a header, body and WebSocket message of a
// session, after all else was taken out, and returns what is written. It should
// keep the lengths of output of commands, whose offsets are counted. A replay
// may call it from any goroutine, one call at a time.
func WithScrub(scrub func(text string) string) TapeOption {
	return func(s *scrubber) { s.extra = append(s.extra, scrub) }
}

// Record returns a transport that sends requests by another one, nil for one of
// its own, and tapes them with their answers, and the frames of WebSockets, for
// [Replay]. The tape is written to path when the test and its subtests have
// ended, in place of an older one; nothing is written if the test has failed.
// Failing to tape fails the test: nothing can be written, or the session is
// larger than 64 MiB, all of which is held in memory.
//
// A tape is text that fits a repository: a line of JSON for each thing that
// happened, without times. Before anything is written, secrets are replaced by
// REDACTED: keys and tokens in headers, in members of JSON and in addresses
// (signatures included), passwords, opaque values, all values of environment
// variables, and wherever else any of these is found that has at least eight
// bytes, such as in output; what looks like a key of LangSmith or a JSON Web
// Token; and what [WithSecrets] and [WithScrub] say. A secret that a program
// prints in pieces, or in another encoding, is not found: look before you
// publish. The time at which a token expires is replaced along with it.
//
// Names that clients choose at random, and ports of loopback addresses that
// requests went to, are numbered in the order of their appearance, so that a
// server of [New] can be taped, too. Left out are User-Agent, Date, and the
// pings of WebSockets, which depend on the clock. WebSockets are taped without
// extensions.
//
// The transport is safe for concurrent use, and hands on everything as it
// comes. Nothing of the request or of next is modified.
func Record(tb testing.TB, path string, next http.RoundTripper, opts ...TapeOption) http.RoundTripper {
	tb.Helper()
	r := &recorder{next: next, path: path, scrub: scrubberOf(opts)}
	if next == nil {
		own := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
		r.next = own
		tb.Cleanup(own.CloseIdleConnections)
	}
	tb.Cleanup(func() { r.finish(tb) })
	return r
}

func scrubberOf(opts []TapeOption) *scrubber {
	s := &scrubber{}
	for _, opt := range opts {
		if opt != nil {
			opt(s)
		}
	}
	return s
}

// recorder holds what happened as it was, in memory only.
type recorder struct {
	next  http.RoundTripper
	path  string
	scrub *scrubber

	mu      sync.Mutex
	entries []entry
	open    map[int]*recordedBody // answers whose end has not come
	ports   []string              // of loopback addresses
	count   int                   // exchanges
	size    int
	err     error
}

// add notes what happened. The caller holds the lock.
func (r *recorder) add(e entry, size int) {
	if r.size += size; r.size > tapeLimit && r.err == nil {
		r.err = fmt.Errorf("the session has more than %d MiB", tapeLimit>>20)
		r.entries = nil
	}
	if r.err == nil {
		r.entries = append(r.entries, e)
	}
}

// RoundTrip sends a request, and tapes it.
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	out := req.Clone(req.Context())
	out.Header.Del("Sec-Websocket-Extensions")
	taped := &tapedRequest{Method: req.Method, URL: req.URL.String(), Header: tapedHeader(out.Header)}
	n := r.begin(taped, req.URL)
	sent := &sentBody{r: r, length: req.ContentLength}
	if req.Body != nil && req.Body != http.NoBody {
		out.Body = sent.reading(req.Body)
		if get := req.GetBody; get != nil {
			out.GetBody = func() (io.ReadCloser, error) {
				body, err := get()
				if err != nil {
					return nil, err
				}
				return sent.reading(body), nil
			}
		}
	} else {
		sent.whole = true
	}
	resp, err := r.next.RoundTrip(out)
	if err != nil {
		r.failed(n, taped, sent, req.Context(), err)
		return nil, err
	}
	// The request is the caller's, as the contract of RoundTrip has it.
	resp.Request = req
	r.answered(n, taped, sent, resp)
	return resp, nil
}

func (r *recorder) begin(taped *tapedRequest, u *url.URL) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	if host := u.Hostname(); host == "127.0.0.1" || host == "::1" || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		if port := u.Port(); port != "" && !slices.Contains(r.ports, port) {
			r.ports = append(r.ports, port)
		}
	}
	r.add(entry{N: r.count, Request: taped}, len(taped.URL))
	return r.count
}

// failed tapes a request without an answer.
func (r *recorder) failed(n int, taped *tapedRequest, sent *sentBody, ctx context.Context, err error) { //nolint:revive // it is the request's
	r.mu.Lock()
	defer r.mu.Unlock()
	sent.tape(taped)
	answer := &tapedAnswer{Error: err.Error()}
	if ctx.Err() != nil || errors.Is(err, context.Canceled) {
		answer = &tapedAnswer{End: endCanceled}
	}
	r.add(entry{N: n, Answer: answer}, len(answer.Error))
}

// answered tapes an answer, and has its body taped as it is read.
func (r *recorder) answered(n int, taped *tapedRequest, sent *sentBody, resp *http.Response) {
	r.mu.Lock()
	defer r.mu.Unlock()
	answer := &tapedAnswer{Status: resp.StatusCode, Header: tapedHeader(resp.Header)}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		sent.tape(taped)
		r.add(entry{N: n, Answer: answer}, 0)
		if conn, ok := resp.Body.(io.ReadWriteCloser); ok {
			resp.Body = &recordedSocket{ReadWriteCloser: conn, r: r, n: n, server: frameReader{}, client: frameReader{masked: true}}
		}
		return
	}
	body := &recordedBody{ReadCloser: resp.Body, r: r, n: n, taped: taped, sent: sent, answer: answer}
	if r.open == nil {
		r.open = map[int]*recordedBody{}
	}
	r.open[n] = body
	if resp.Request.Method == http.MethodHead || resp.Body == http.NoBody {
		body.end(endWhole)
	}
	resp.Body = body
}

// sentBody is what was read of the body of a request. The lock of the recorder
// guards it.
type sentBody struct {
	r      *recorder
	length int64
	data   []byte
	whole  bool
}

func (s *sentBody) reading(body io.ReadCloser) io.ReadCloser {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.size -= len(s.data)
	s.data, s.whole = nil, false
	return &sentReader{body, s}
}

func (s *sentBody) tape(taped *tapedRequest) {
	taped.content = contentOf(string(s.data))
	taped.Partial = !s.whole && int64(len(s.data)) != s.length
}

type sentReader struct {
	io.ReadCloser
	sent *sentBody
}

func (b *sentReader) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	r := b.sent.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.size += n; r.size <= tapeLimit {
		b.sent.data = append(b.sent.data, p[:n]...)
	}
	b.sent.whole = b.sent.whole || errors.Is(err, io.EOF)
	return n, err
}

// recordedBody is the body of an answer, taped as far as it is read.
type recordedBody struct {
	io.ReadCloser
	r      *recorder
	n      int
	taped  *tapedRequest
	sent   *sentBody
	answer *tapedAnswer
	data   []byte
	done   bool
}

func (b *recordedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.r.mu.Lock()
	defer b.r.mu.Unlock()
	if b.r.size += n; b.r.size <= tapeLimit {
		b.data = append(b.data, p[:n]...)
	}
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		b.end(endWhole)
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		b.end(endUnread)
	default:
		b.end(endCut)
	}
	return n, err
}

func (b *recordedBody) Close() error {
	err := b.ReadCloser.Close()
	b.r.mu.Lock()
	defer b.r.mu.Unlock()
	b.end(endUnread)
	return err
}

// end tapes the answer. The caller holds the lock of the recorder.
func (b *recordedBody) end(how ending) {
	if b.done {
		return
	}
	b.done = true
	delete(b.r.open, b.n)
	if length := b.answer.Header.Get("Content-Length"); how == endUnread && length == strconv.Itoa(len(b.data)) {
		how = endWhole
	}
	b.sent.tape(b.taped)
	b.answer.content, b.answer.End = contentOf(string(b.data)), how
	b.r.add(entry{N: b.n, Answer: b.answer}, 0)
}

// untaped headers are not of the session, but of one machine or one moment.
var untaped = []string{
	"User-Agent", "Date", "Connection", "Keep-Alive", "Traceparent", "Tracestate",
	"Sec-Websocket-Key", "Sec-Websocket-Accept", "Sec-Websocket-Extensions",
}

func tapedHeader(h http.Header) http.Header {
	h = h.Clone()
	for _, name := range untaped {
		h.Del(name)
	}
	return h
}
