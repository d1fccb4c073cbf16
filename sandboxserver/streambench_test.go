package sandboxserver_test

import (
	"fmt"
	"io"
	"testing"
)

// BenchmarkStreamOutput measures output from a process to a client that only
// decodes it.
func BenchmarkStreamOutput(b *testing.B) {
	box := newStreamBox(b)
	const size = 256 << 20
	b.SetBytes(size)
	for b.Loop() {
		c := box.dial()
		c.send(m{"type": "execute", "command": fmt.Sprintf(`yes 'The quick brown fox jumps over the lazy dog, and so on.' | head -c %d`, size), "close_stdin": true})
		var next int64
		c.fast(io.Discard, &next, func(int64) bool { return false })
		if next != size {
			b.Fatalf("%d bytes", next)
		}
		c.drop()
	}
}

// BenchmarkStreamCommand measures a command that does nothing, with its
// connection.
func BenchmarkStreamCommand(b *testing.B) {
	box := newStreamBox(b)
	for b.Loop() {
		c := box.dial()
		c.send(m{"type": "execute", "command": ":", "close_stdin": true})
		var next int64
		c.fast(io.Discard, &next, func(int64) bool { return false })
		c.drop()
	}
}
