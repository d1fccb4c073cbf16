package sandboxtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// ReplayEndpoint is the endpoint for clients of a tape that was recorded of a
// server on a loopback address, such as those of [New]. For other tapes it is
// the one that they were recorded with.
const ReplayEndpoint = "http://127.0.0.1:1/v2/sandboxes"

// Replay returns a transport that answers as the tape at path says, byte for
// byte, and sends nothing anywhere.
//
// A request is answered with the first answer on the tape that was not used
// yet and was given to the same request: the same method, address, headers and
// body, once secrets are taken out and names that clients choose at random are
// set aside. Requests that were under way at the same time when the tape was
// made may come in any order; one that began after the end of another waits for
// it to come, ten seconds at most. WebSockets are told apart by their first message. A message of the
// server comes when all messages of the client that are before it on the tape
// have come. Pings are answered, and not compared. Binary messages are
// compared as one row of bytes, since those of tunnels are cut as it happens: a
// tunnel can be replayed where its connections follow one another and carry
// little enough that none has to wait for the other side.
//
// A request or message that is not on the tape fails the test and shows what
// was expected; it and all that follow are answered with status 400, or the
// connection is closed with status 1008. What is left on the tape when the test
// and its subtests have ended fails it, too, unless it has failed already.
//
// Answers come at once: only a request that was canceled when the tape was made
// waits until it is canceled again. Times in answers are the old ones, but for
// those at which tokens expire. Wherever an API key was sent, some key must be
// sent.
//
// The transport is safe for concurrent use.
func Replay(tb testing.TB, path string, opts ...TapeOption) http.RoundTripper {
	tb.Helper()
	raw, err := os.ReadFile(path) //nolint:gosec // the caller's tape
	if err != nil {
		tb.Fatalf("sandboxtest: %v: record the tape first", err)
	}
	entries, err := parseTape(raw)
	if err != nil {
		tb.Fatalf("sandboxtest: tape %s: %v", path, err)
	}
	p := &player{tb: tb, path: path, scrub: scrubberOf(opts), exchanges: exchangesOf(entries), names: names{}}
	p.changed = sync.NewCond(&p.mu)
	tb.Cleanup(p.finish)
	return p
}

// exchange is what a tape says of one request.
type exchange struct {
	n          int
	request    *tapedRequest
	answer     *tapedAnswer
	script     []entry // frames of a WebSocket
	begin, end int     // its first and last line
	used       bool
	socket     *replayedSocket
}

func exchangesOf(entries []entry) []*exchange {
	byNumber := map[int]*exchange{}
	var all []*exchange
	for i, e := range entries {
		x := byNumber[e.N]
		switch {
		case e.Request != nil:
			x = &exchange{n: e.N, request: e.Request, begin: i}
			byNumber[e.N] = x
			all = append(all, x)
		case e.Answer != nil:
			x.answer = e.Answer
		default:
			x.script = append(x.script, e)
		}
		x.end = i
	}
	return all
}

type player struct {
	tb    testing.TB
	path  string
	scrub *scrubber

	mu        sync.Mutex
	changed   *sync.Cond // exchanges were used
	exchanges []*exchange
	names     names
	problem   string // the first that was not on the tape
	over      bool
}

// RoundTrip answers a request.
func (p *player) RoundTrip(req *http.Request) (*http.Response, error) {
	taped := &tapedRequest{Method: req.Method, URL: req.URL.String(), Header: tapedHeader(req.Header)}
	if req.Body != nil {
		body, err := bounded(req.Body)
		if err = errors.Join(err, req.Body.Close()); err != nil {
			return nil, err
		}
		taped.content = contentOf(string(body))
	}
	p.mu.Lock()
	x := p.find(req.Context(), taped)
	if x == nil {
		defer p.mu.Unlock()
		if err := req.Context().Err(); err != nil && p.problem == "" {
			return nil, err
		}
		return refusal(req, cmp.Or(p.problem, "the test of this tape has ended")), nil
	}
	answer := p.fill(x.answer)
	var socket *replayedSocket
	if answer.Status == http.StatusSwitchingProtocols {
		socket = newReplayedSocket(p, x)
	}
	p.mu.Unlock()
	switch {
	case answer.End == endCanceled:
		<-req.Context().Done()
		return nil, context.Cause(req.Context())
	case answer.Error != "":
		return nil, errors.New(answer.Error)
	case socket != nil:
		return socket.answer(req, answer), nil
	}
	return p.response(req, answer), nil
}

// bounded reads a body, up to what a tape can hold.
func bounded(r io.Reader) ([]byte, error) {
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(r, tapeLimit+1))
	if n > tapeLimit {
		return nil, fmt.Errorf("sandboxtest: a body of more than %d MiB is on no tape", tapeLimit>>20)
	}
	return b.Bytes(), err
}

// patience is how long a request waits for others that come before it.
const patience = 10 * time.Second

// find waits for the turn of a request's exchange, and uses it. It returns nil
// if there is none, or there was a problem before. The caller holds the lock.
func (p *player) find(ctx context.Context, sent *tapedRequest) *exchange {
	timeout, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stop := context.AfterFunc(timeout, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.changed.Broadcast()
	})
	defer stop()
	sent = p.scrub.request(sent)
	for p.problem == "" && !p.over {
		due, later := p.due()
		for _, x := range due {
			if chosen := p.matches(x.request, sent); chosen != nil {
				p.names, x.used = chosen, true
				p.changed.Broadcast()
				return x
			}
		}
		early := slices.ContainsFunc(later, func(x *exchange) bool { return p.matches(x.request, sent) != nil })
		switch {
		case early && timeout.Err() == nil:
			p.changed.Wait()
		case early && ctx.Err() != nil:
			return nil // given up, which is no one's fault
		case early:
			p.mismatch("%s %s comes too early: exchange %d, %s %s, has not come", sent.Method, sent.URL, due[0].n, due[0].request.Method, due[0].request.URL)
		default:
			p.mismatch("%s", p.difference(due, sent))
		}
	}
	return nil
}

// difference tells a request from the one that was expected most likely.
func (p *player) difference(due []*exchange, sent *tapedRequest) string {
	if len(due) == 0 {
		return fmt.Sprintf("%s %s comes when all of the tape was replayed", sent.Method, sent.URL)
	}
	next := due[0]
	if i := slices.IndexFunc(due, func(x *exchange) bool { return same(x.request, sent) }); i >= 0 {
		next = due[i]
	}
	want := mapRequest(next.request, p.names.fill)
	return fmt.Sprintf("%s %s is not on the tape, where exchange %d is next (-tape +request):\n%s",
		sent.Method, sent.URL, next.n, compare(requestLines(want), requestLines(sent)))
}

// same reports whether two requests ask for the same, if perhaps in other
// words.
func same(a, b *tapedRequest) bool { return a.Method == b.Method && a.URL == b.URL }

// due are the exchanges that may come next, nothing that ended before they
// began being left, and those that may come later. The caller holds the lock.
func (p *player) due() (due, later []*exchange) {
	bound := math.MaxInt
	for _, x := range p.exchanges {
		switch {
		case x.used:
		case x.begin > bound:
			later = append(later, x)
		default:
			bound = min(bound, x.end)
			due = append(due, x)
		}
	}
	return due, later
}

// matches returns the names that the client has chosen if it sent what is on
// the tape, or nil. The caller holds the lock.
func (p *player) matches(taped, sent *tapedRequest) names {
	chosen := p.names.clone()
	if taped.Method != sent.Method || !chosen.match(taped.URL, sent.URL, false) ||
		!chosen.match(headerText(taped.Header), headerText(sent.Header), false) ||
		!chosen.match(taped.String(), sent.String(), taped.Partial) {
		return nil
	}
	return chosen
}

// mismatch fails the test, once. The caller holds the lock.
func (p *player) mismatch(format string, args ...any) {
	if p.problem == "" && !p.over {
		p.problem = fmt.Sprintf(format, args...)
		p.changed.Broadcast()
		p.tb.Errorf("sandboxtest: tape %s: %s", p.path, p.problem)
	}
}

// fill puts the client's names into an answer. The caller holds the lock.
func (p *player) fill(a *tapedAnswer) *tapedAnswer {
	filled := *a
	filled.Header = a.Header.Clone()
	if filled.Header == nil {
		filled.Header = http.Header{}
	}
	mapHeader(filled.Header, p.names.fill)
	filled.content = contentOf(p.names.fill(a.String()))
	return &filled
}

// refusal is the answer to what is not on the tape. An error would have the
// client try it again.
func refusal(req *http.Request, problem string) *http.Response {
	body := fmt.Sprintf(`{"detail":{"error":"NotOnTape","message":%s}}`, strconv.QuoteToASCII(firstLine(problem)))
	return respond(req, http.StatusBadRequest, http.Header{"Content-Type": {"application/json"}}, io.NopCloser(strings.NewReader(body)), int64(len(body)))
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return "sandboxtest: " + s
}

func respond(req *http.Request, status int, header http.Header, body io.ReadCloser, length int64) *http.Response {
	return &http.Response{
		Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: body, ContentLength: length, Request: req,
	}
}

func (p *player) response(req *http.Request, a *tapedAnswer) *http.Response {
	length := int64(-1)
	if n, err := strconv.ParseInt(a.Header.Get("Content-Length"), 10, 64); err == nil && n >= 0 {
		length = n
	}
	text := a.String()
	if text == "" && a.End == endWhole {
		if length < 0 || req.Method != http.MethodHead {
			length = 0
		}
		return respond(req, a.Status, a.Header, http.NoBody, length)
	}
	return respond(req, a.Status, a.Header, &replayedBody{p: p, ctx: req.Context(), left: text, end: a.End, url: req.URL.Path}, length)
}

// replayedBody is the body of an answer.
type replayedBody struct {
	p    *player
	ctx  context.Context //nolint:containedctx // of the request, which bounds the reading of its answer
	left string
	end  ending
	url  string
	shut bool
}

func (b *replayedBody) Read(to []byte) (int, error) {
	b.p.mu.Lock()
	defer b.p.mu.Unlock()
	switch err := b.ctx.Err(); {
	case err != nil:
		return 0, err
	case b.shut:
		return 0, http.ErrBodyReadAfterClose
	case b.left != "":
		n := copy(to, b.left)
		b.left = b.left[n:]
		return n, nil
	case b.end == endCut:
		return 0, io.ErrUnexpectedEOF
	case b.end == endUnread:
		b.p.mismatch("the answer to %s is read further than the tape goes: there the client had closed it", b.url)
		return 0, io.ErrUnexpectedEOF
	default:
		return 0, io.EOF
	}
}

func (b *replayedBody) Close() error {
	b.p.mu.Lock()
	defer b.p.mu.Unlock()
	b.shut = true
	return nil
}

// finish reports what is left.
func (p *player) finish() {
	p.tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() {
		p.over = true
		p.changed.Broadcast()
	}()
	if p.problem != "" || p.tb.Failed() {
		return
	}
	var left []string
	for _, x := range p.exchanges {
		switch {
		case !x.used:
			left = append(left, fmt.Sprintf("exchange %d: %s %s", x.n, x.request.Method, x.request.URL))
		case x.socket != nil:
			left = append(left, x.socket.left()...)
		}
	}
	if len(left) > 0 {
		p.tb.Errorf("sandboxtest: tape %s: not replayed:\n\t%s", p.path, strings.Join(left, "\n\t"))
	}
}
