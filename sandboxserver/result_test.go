package sandboxserver

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/session"
)

func collected(code int, stdout, stderr []byte) *result {
	r := &result{code: code}
	for len(stdout) > 0 { // as an attachment gives it
		n := min(len(stdout), 1+rand.IntN(40000))
		for n < len(stdout) && stdout[n]&0xc0 == 0x80 {
			n++
		}
		r.streams[session.Stdout].add(stdout[:n])
		stdout = stdout[n:]
	}
	r.streams[session.Stderr].add(stderr)
	return r
}

// TestResultEncodesAsJSON holds the pieces to encoding/json.
func TestResultEncodesAsJSON(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":    "",
		"plain":    "hello\n",
		"long":     strings.Repeat("0123456789", 50000),
		"escapes":  strings.Repeat("\x00\x1b[1m\"\\\t\r\n\x7f", 20000),
		"chars":    "x" + strings.Repeat("é€😀", 60000),
		"broken":   strings.Repeat("a\xff\xe2\x82b", 30000) + "\xf0\x9f",
		"trailing": strings.Repeat("\x80", 100000),
	} {
		for _, code := range []int{0, 137, -1} {
			var got bytes.Buffer
			if err := collected(code, []byte(text), []byte("warn\xff")).encode(&got); err != nil {
				t.Fatal(err)
			}
			want, err := json.Marshal(gen.ExecuteResult{Stdout: text, Stderr: "warn\xff", ExitCode: &code})
			if err != nil {
				t.Fatal(err)
			}
			var a, b gen.ExecuteResult
			if json.Unmarshal(got.Bytes(), &a) != nil || json.Unmarshal(want, &b) != nil {
				t.Fatalf("%s: not JSON: %.200q", name, got.String())
			}
			if a.Stdout != b.Stdout || a.Stderr != b.Stderr || *a.ExitCode != code {
				t.Errorf("%s: differs from encoding/json", name)
			}
		}
	}
}

// counter is a client that reads as fast as it can and keeps nothing.
type counter struct{ bytes, longest int }

func (c *counter) Write(p []byte) (int, error) {
	c.bytes += len(p)
	c.longest = max(c.longest, len(p))
	return len(p), nil
}

// TestResultTakesLittleMoreThanItsText would fail for an encoder that has the
// whole answer in memory: zero bytes are six characters each.
func TestResultTakesLittleMoreThanItsText(t *testing.T) { //nolint:paralleltest // counts what the process allocates
	const size = 32 << 20
	chunk := make([]byte, chunkSize)
	var before, collected, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := new(result)
	for range size / chunkSize {
		r.streams[session.Stdout].add(chunk)
	}
	runtime.ReadMemStats(&collected)
	c := new(counter)
	if err := r.encode(c); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if c.bytes < 6*size || c.longest > 1<<20 {
		t.Errorf("%d bytes, at most %d at once", c.bytes, c.longest)
	}
	if n := collected.TotalAlloc - before.TotalAlloc; n > size+4<<20 {
		t.Errorf("%d bytes allocated to keep %d", n, size)
	}
	if n := after.TotalAlloc - collected.TotalAlloc; n > 2<<20 {
		t.Errorf("%d bytes allocated to encode", n)
	}
}
