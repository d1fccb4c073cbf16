package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

// helloReader reads what a client sends into a tunnel. If that begins as TLS
// does, check sees the name of the server in it before anything passes:
// servers that many share go by that name, whatever host a tunnel was for.
type helloReader struct {
	from  io.Reader
	check func(name string) error

	began bool
	ahead []byte // read for the check
	err   error
}

// errHello ends a tunnel whose client begins as TLS does and goes on otherwise.
var errHello = errors.New("the start of TLS cannot be read")

func (h *helloReader) Read(p []byte) (int, error) {
	if !h.began {
		h.began = true
		h.begin()
	}
	switch {
	case h.err != nil:
		return 0, h.err
	case len(h.ahead) > 0:
		n := copy(p, h.ahead)
		h.ahead = h.ahead[n:]
		return n, nil
	}
	return h.from.Read(p)
}

func (h *helloReader) begin() {
	// The type of a record, and the major version that all of TLS has.
	const handshake, version = 0x16, 3
	var first [2]byte
	n, err := io.ReadFull(h.from, first[:1])
	if err == nil && first[0] == handshake {
		_, err = io.ReadFull(h.from, first[1:])
		if err == nil {
			n = 2
		}
	}
	h.ahead = first[:n]
	switch {
	case errors.Is(err, io.EOF):
		return // the next read tells again
	case err != nil:
		h.err = err
		return
	case n < len(first) || first[1] != version:
		return
	}
	seen := &recorder{from: io.MultiReader(bytes.NewReader(first[:]), h.from)}
	name, ok := serverName(seen)
	h.ahead = seen.all
	switch {
	case !ok:
		h.err = errHello
	case name != "":
		h.err = h.check(name)
	}
}

// serverName reads the first message of a TLS client.
func serverName(seen *recorder) (name string, ok bool) {
	errSeen := errors.New("seen")
	server := tls.Server(seen, &tls.Config{
		MinVersion: tls.VersionTLS12, // it is not asked for before the message is seen
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			name, ok = hello.ServerName, true
			return nil, errSeen
		},
	})
	_ = server.HandshakeContext(context.Background()) // it always fails
	return name, ok
}

// recorder is the connection of a TLS server that says nothing.
type recorder struct {
	net.Conn // nil: nothing else of it is used

	from io.Reader
	all  []byte
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.all = append(r.all, p[:n]...)
	return n, err
}

func (r *recorder) Write(p []byte) (int, error) { return len(p), nil }

func (r *recorder) SetDeadline(time.Time) error      { return nil }
func (r *recorder) SetReadDeadline(time.Time) error  { return nil }
func (r *recorder) SetWriteDeadline(time.Time) error { return nil }
func (r *recorder) Close() error                     { return nil }
