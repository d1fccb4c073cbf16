package mux

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// plain is a connection without messages.
type plain struct{ net.Conn }

func (p plain) Abort() { p.Close() }

// peer is the other end of a session, byte by byte.
type peer struct {
	t *testing.T
	net.Conn
}

// client begins a client's session with a peer.
func client(t *testing.T, cfg Config) (*Session, *peer) {
	t.Helper()
	ours, theirs := net.Pipe()
	s := New(plain{ours}, cfg)
	t.Cleanup(func() {
		theirs.Close()
		s.Close()
	})
	return s, &peer{t, theirs}
}

// server is the same with a server's session.
func server(t *testing.T, accept func(*Stream), cfg Config) (*Session, *peer) {
	t.Helper()
	cfg.Accept = accept
	return client(t, cfg)
}

// pair is two sessions that are connected.
func pair(t *testing.T, accept func(*Stream)) (c, s *Session) {
	t.Helper()
	ours, theirs := tcpPair(t)
	c = New(plain{ours}, Config{})
	s = New(plain{theirs}, Config{Accept: accept})
	t.Cleanup(func() {
		c.Close()
		s.Close()
	})
	return c, s
}

func tcpPair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// expect reads bytes, given in hexadecimal.
func (p *peer) expect(want ...string) {
	p.t.Helper()
	w := unhex(p.t, want...)
	got := make([]byte, len(w))
	p.SetReadDeadline(time.Now().Add(time.Minute))
	if n, err := io.ReadFull(p, got); err != nil || !bytes.Equal(got, w) {
		p.t.Fatalf("got %x, %v\nwant %x", got[:n], err, w)
	}
}

// quiet checks that nothing is sent for a while, in a bubble.
func (p *peer) quiet(d time.Duration) {
	p.t.Helper()
	p.SetReadDeadline(time.Now().Add(d))
	if n, err := p.Read(make([]byte, 1)); n > 0 || !isTimeout(err) {
		p.t.Fatalf("got %d bytes, %v", n, err)
	}
}

// say sends bytes, given in hexadecimal.
func (p *peer) say(frames ...string) {
	p.t.Helper()
	p.SetWriteDeadline(time.Now().Add(time.Minute))
	if _, err := p.Write(unhex(p.t, frames...)); err != nil {
		p.t.Error(err)
	}
}

// data sends a payload on a stream.
func (p *peer) data(id uint32, flags uint16, payload []byte) {
	p.t.Helper()
	p.SetWriteDeadline(time.Now().Add(time.Minute))
	frame := header{typeData, flags, id, uint32(len(payload))}.append(nil)
	if _, err := p.Write(append(frame, payload...)); err != nil {
		p.t.Error(err)
	}
}

func isTimeout(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded)
}

func unhex(t *testing.T, parts ...string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(strings.Join(parts, ""), " ", ""))
	if err != nil {
		t.Error(err)
	}
	return b
}

const opened = "00 01 00 01 00 00 00 01 00 00 00 00"

// open opens the first stream.
func open(t *testing.T, s *Session, p *peer) *Stream {
	t.Helper()
	st := mustOpen(t, s)
	p.expect(opened)
	return st
}

func mustOpen(t *testing.T, s *Session) *Stream {
	t.Helper()
	st, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func mustRead(t *testing.T, r io.Reader, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if n, err := io.ReadFull(r, b); string(b[:n]) != want || err != nil {
		t.Fatalf("read %q, %v, want %q", b[:n], err, want)
	}
}
