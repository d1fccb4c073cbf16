package sandboxtest

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// finish writes the tape.
func (r *recorder) finish(tb testing.TB) {
	tb.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range slices.Sorted(maps.Keys(r.open)) {
		r.open[n].end(endUnread)
	}
	if r.err == nil && tb.Failed() {
		tb.Logf("sandboxtest: the test has failed: no tape is written to %s", r.path)
		return
	}
	err := r.err
	if err == nil {
		err = writeTape(r.path, r.clean())
	}
	if err != nil {
		tb.Errorf("sandboxtest: tape %s: %v", r.path, err)
	}
	// What comes after this is not taped.
	r.entries, r.size = nil, tapeLimit+1
}

// clean makes what is written of what happened. Secrets are learned from the
// whole session first, so that none is left where it was not yet known.
func (r *recorder) clean() []entry {
	kinds := map[int]http.Header{}
	unanswered := map[int]bool{}
	for _, e := range r.entries {
		c := cleaner{scrub: r.scrub}
		c.learn(e)
		if e.Request != nil {
			kinds[e.N], unanswered[e.N] = e.Request.Header, true
		}
		if e.Answer != nil {
			delete(unanswered, e.N)
		}
	}
	c := cleaner{scrub: r.scrub, names: newTapedNamer(), ports: portPattern(r.ports), portNames: r.ports}
	var clean []entry
	for _, e := range r.entries {
		if !unanswered[e.N] { // one that is on its way when a test ends has no result
			clean = append(clean, c.entry(e))
		}
	}
	return clean
}

// cleaner makes lines of a tape.
type cleaner struct {
	scrub     *scrubber
	names     *tapedNamer
	ports     *regexp.Regexp // nil for none
	portNames []string
}

func portPattern(ports []string) *regexp.Regexp {
	if len(ports) == 0 {
		return nil
	}
	return regexp.MustCompile(`((?:127\.0\.0\.1|\[::1\]|localhost)(?::|%3A))(` + strings.Join(ports, "|") + `)\b`)
}

// port numbers the ports of loopback addresses.
func (c *cleaner) port(s string) string {
	if c.ports == nil {
		return s
	}
	return c.ports.ReplaceAllStringFunc(s, func(address string) string {
		m := c.ports.FindStringSubmatch(address)
		return m[1] + strconv.Itoa(slices.Index(c.portNames, m[2])+1)
	})
}

// learn has the scrubber see an entry.
func (c *cleaner) learn(e entry) {
	switch {
	case e.Request != nil:
		c.scrub.request(e.Request)
	case e.Answer != nil:
		c.scrub.header(e.Answer.Header)
		if isJSON(e.Answer.Header) {
			c.scrub.json(e.Answer.String())
		}
	case e.Client != nil:
		c.scrub.json(e.Client.String())
	case e.Server != nil:
		c.scrub.json(e.Server.String())
	}
}

func (c *cleaner) entry(e entry) entry {
	switch {
	case e.Request != nil:
		request := c.scrub.request(e.Request)
		e.Request = mapRequest(request, func(s string) string { return c.names.client(c.port(s)) })
	case e.Answer != nil:
		e.Answer = c.answer(e.Answer)
	case e.Client != nil:
		f := *e.Client
		text := c.scrub.clientFrame(f)
		if f.Kind != opBinary {
			text = c.names.client(c.port(text))
		}
		f.content = contentOf(text)
		e.Client = &f
	case e.Server != nil:
		f := *e.Server
		text := f.String()
		if f.Kind == opBinary {
			text = c.scrub.everywhere(text, keep)
		} else {
			text = c.names.server(c.scrub.everywhere(c.scrub.json(text), keep))
		}
		f.content = contentOf(text)
		e.Server = &f
	}
	return e
}

func (c *cleaner) answer(a *tapedAnswer) *tapedAnswer {
	clean := *a
	clean.Header = c.scrub.header(a.Header)
	c.scrub.headerText(clean.Header)
	server := func(s string) string { return c.names.server(c.port(s)) }
	mapHeader(clean.Header, server)
	text := a.String()
	if isJSON(a.Header) {
		text = server(c.scrub.everywhere(c.scrub.json(text), drop))
	} else { // what ranges are cut of, and lengths told of
		text = c.names.server(c.scrub.everywhere(text, keep))
	}
	clean.content = contentOf(text)
	clean.Error = server(c.scrub.everywhere(a.Error, drop))
	if was := len(a.String()); a.Header.Get("Content-Length") == strconv.Itoa(was) && was != 0 {
		clean.Header.Set("Content-Length", strconv.Itoa(len(text)))
	}
	return &clean
}

// request returns a request without secrets: on a tape, and for one that is
// looked for on a tape.
func (s *scrubber) request(r *tapedRequest) *tapedRequest {
	clean := *r
	clean.Header = s.header(r.Header)
	text := r.String()
	if isJSON(r.Header) {
		text = s.json(text)
	}
	clean.URL = s.everywhere(s.link(r.URL), drop)
	s.headerText(clean.Header)
	clean.content = contentOf(s.everywhere(text, drop))
	return &clean
}

// clientFrame is the same for the content of a frame.
func (s *scrubber) clientFrame(f tapedFrame) string {
	if f.Kind == opBinary {
		return s.everywhere(f.String(), keep)
	}
	return s.everywhere(s.json(f.String()), drop)
}

func mapRequest(r *tapedRequest, f func(string) string) *tapedRequest {
	mapped := *r
	mapped.URL = f(r.URL)
	mapped.Header = r.Header.Clone()
	mapHeader(mapped.Header, f)
	mapped.content = contentOf(f(r.String()))
	return &mapped
}

func mapHeader(h http.Header, f func(string) string) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for i := range h[name] {
			h[name][i] = f(h[name][i])
		}
	}
}
