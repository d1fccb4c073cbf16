package egress

import (
	"bytes"
	"io"
	"net/http"
)

// maskBuffer is how much a masking reader looks at at once.
const maskBuffer = 32 << 10

// maskReader replaces secrets in what it reads by stars, as many as there are
// bytes, so that lengths stay true. It passes on all that cannot be the start
// of a secret at once.
type maskReader struct {
	body    io.ReadCloser
	secrets [][]byte
	buf     []byte // read and not given out
	ready   int    // how much of it can be
	chunk   []byte
	err     error
	end     func() // if not nil, called once when all is read
}

func (m *maskReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for m.ready == 0 {
		if m.err != nil {
			return 0, m.err
		}
		m.fill()
	}
	n := copy(p, m.buf[:m.ready])
	m.buf = m.buf[n:]
	m.ready -= n
	return n, nil
}

func (m *maskReader) fill() {
	if m.chunk == nil {
		m.chunk = make([]byte, maskBuffer)
	}
	n, err := m.body.Read(m.chunk)
	m.buf = append(m.buf, m.chunk[:n]...)
	m.err = err
	if err != nil && m.end != nil {
		m.end()
	}
	mask(m.buf, m.secrets)
	m.ready = len(m.buf)
	if err == nil {
		m.ready -= m.pending()
	}
}

// pending is how much of the end may be the start of a secret.
func (m *maskReader) pending() int {
	most := 0
	for _, s := range m.secrets {
		for n := min(len(s)-1, len(m.buf)); n > most; n-- {
			if bytes.HasSuffix(m.buf, s[:n]) {
				most = n
			}
		}
	}
	return most
}

// Close closes the body that is read.
func (m *maskReader) Close() error { return m.body.Close() }

// mask replaces secrets in place.
func mask(b []byte, secrets [][]byte) {
	for _, s := range secrets {
		for at := 0; ; {
			i := bytes.Index(b[at:], s)
			if i < 0 {
				break
			}
			at += i
			for j := range s {
				b[at+j] = '*'
			}
			at += len(s)
		}
	}
}

func maskHeader(h http.Header, secrets [][]byte) {
	for name, values := range h {
		for i, v := range values {
			b := []byte(v)
			mask(b, secrets)
			values[i] = string(b)
		}
		h[name] = values
	}
}
