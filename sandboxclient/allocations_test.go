package sandboxclient_test

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"io"
	"math"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/wire"
	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// replay is a RoundTripper whose every connection carries the same frames,
// encoded before, and allocates nothing on the way: a command that starts,
// writes the chunk a number of times and ends.
type replay struct {
	chunk  []byte
	chunks int
}

// text is an unmasked text message.
func text(payload []byte) []byte {
	switch n := len(payload); {
	case n < 126:
		return append([]byte{0x81, byte(n)}, payload...)
	case n < 1<<16:
		return append(binary.BigEndian.AppendUint16([]byte{0x81, 126}, uint16(n)), payload...)
	default:
		return append(binary.BigEndian.AppendUint64([]byte{0x81, 127}, uint64(n)), payload...)
	}
}

func (r *replay) RoundTrip(req *http.Request) (*http.Response, error) {
	sum := sha1.Sum([]byte(req.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return &http.Response{
		StatusCode: http.StatusSwitchingProtocols, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
			"Sec-Websocket-Accept": {base64.StdEncoding.EncodeToString(sum[:])},
		},
		Body: &replayed{replay: r, next: startedMessage, left: r.chunks, over: make(chan struct{})},
	}, nil
}

var (
	startedMessage = text([]byte(`{"type":"started","command_id":"","pid":1}`))
	exitMessage    = text([]byte(`{"type":"exit","exit_code":0}`))
)

// replayed is one connection of a replay.
type replayed struct {
	*replay
	next []byte
	left int
	end  bool
	over chan struct{}
	once sync.Once
}

func (r *replayed) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && (len(r.next) > 0 || !r.end) {
		if len(r.next) > 0 {
			c := copy(p[n:], r.next)
			r.next = r.next[c:]
			n += c
			continue
		}
		if r.left--; r.left >= 0 {
			r.next = r.chunk
		} else {
			r.next, r.end = exitMessage, true
		}
	}
	if n == 0 {
		<-r.over
		return 0, io.EOF
	}
	return n, nil
}

func (r *replayed) Write(p []byte) (int, error) { return len(p), nil }

func (r *replayed) Close() error {
	r.once.Do(func() { close(r.over) })
	return nil
}

func (r *replay) box(t *testing.T) *sandboxclient.Sandbox {
	t.Helper()
	c, err := sandboxclient.New(sandboxclient.WithEnvironment(func(string) string { return "" }),
		sandboxclient.WithEndpoint(fakeBase), sandboxclient.WithAPIKey(fakeKey),
		sandboxclient.WithHTTPClient(&http.Client{Transport: r}))
	if err != nil {
		t.Fatal(err)
	}
	return box(c)
}

// counter is a writer that counts, and calls what it is told to.
type counter struct {
	size int
	each func(size int)
}

func (c *counter) Write(p []byte) (int, error) {
	c.size += len(p)
	if c.each != nil {
		c.each(c.size)
	}
	return len(p), nil
}

// ways in which output arrives.
var ways = map[string]func(t *testing.T, s *sandboxclient.Sandbox, to *counter) error{
	"writer": func(t *testing.T, s *sandboxclient.Sandbox, to *counter) error {
		c := s.Shell("x")
		c.Stdout, c.Stderr = to, to
		return c.Run(t.Context())
	},
	"discarded": func(t *testing.T, s *sandboxclient.Sandbox, _ *counter) error {
		return s.Shell("x").Run(t.Context())
	},
	"iterator": func(t *testing.T, s *sandboxclient.Sandbox, to *counter) error {
		for chunk, err := range s.Shell("x").Stream(t.Context()) {
			if err != nil {
				return err
			}
			_, _ = to.Write(chunk.Data)
		}
		return nil
	},
}

// mallocs is how much the process allocates meanwhile, the least of some times.
func mallocs(work func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 4 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		work()
		runtime.ReadMemStats(&after)
		least = min(least, after.Mallocs-before.Mallocs)
	}
	return least
}

// kinds of output, by what is done with them on the way.
var outputs = map[string]string{
	"plain":       strings.Repeat("the quick brown fox ", 200),
	"escaped":     strings.Repeat("\x1b[1m\"x\"\n", 400),
	"characters":  strings.Repeat("größer 日本語 ", 200),
	"not as text": strings.Repeat("ab\uFFFDc", 500),
}

// TestChunkAllocations: a chunk of output costs no allocation, whether it goes
// to a writer or to a loop.
//
//nolint:paralleltest // it counts what the process allocates
func TestChunkAllocations(t *testing.T) {
	few, many := 1000/slower, 6000/slower
	for way, run := range ways {
		for kind, data := range outputs {
			if kind == "not as text" {
				continue // without offsets, which tell how long it was
			}
			t.Run(way+"/"+kind, func(t *testing.T) {
				cost := func(chunks int) uint64 {
					box := (&replay{chunk: withoutOffset(data), chunks: chunks}).box(t)
					return mallocs(func() {
						var got counter
						if err := run(t, box, &got); err != nil {
							t.Fatal(err)
						}
						if way != "discarded" && got.size != chunks*len(data) {
							t.Fatalf("%d bytes, want %d", got.size, chunks*len(data))
						}
					})
				}
				low, high := cost(few), cost(many)
				if per := (float64(high) - float64(low)) / float64(many-few); per > 0.02*slower {
					t.Errorf("%.3f allocations per chunk", per)
				}
			})
		}
	}
}

// withoutOffset is a message of output that can come any number of times.
func withoutOffset(data string) []byte {
	message := wire.AppendOutput(nil, gen.FrameStdout, []byte(data), 0)
	return text(append(message[:len(message)-len(`,"offset":0}`)], '}'))
}

// maxRunAllocations bounds what a trivial Run allocates, without the dialing
// below net/http. Almost half of it is the WebSocket library's Dial, with the
// two http.Clients it goes through.
const maxRunAllocations = 192 + 28 // what the runtime itself does varies

//nolint:paralleltest // it counts what the process allocates
func TestRunAllocations(t *testing.T) {
	s := &replay{chunk: withoutOffset("ok\n"), chunks: 1}
	box := s.box(t)
	got := testing.AllocsPerRun(100, func() {
		result, err := box.Run(t.Context(), "true", nil)
		if err != nil || result.Stdout != "ok\n" {
			t.Fatal(result, err)
		}
	})
	if got > maxRunAllocations && !raceEnabled {
		t.Errorf("%v allocations, want at most %d", got, maxRunAllocations)
	}
}

// TestNothingIsKept: output is forgotten once it was delivered.
//
//nolint:paralleltest // it measures the memory of the process
func TestNothingIsKept(t *testing.T) {
	const total, room, every = 64 << 20 / slower, 3 << 20, 8 << 20 / slower
	for way, run := range ways {
		for kind, data := range outputs {
			if way == "discarded" {
				continue
			}
			t.Run(way+"/"+kind, func(t *testing.T) {
				box := (&replay{chunk: withoutOffset(data), chunks: total / len(data)}).box(t)
				heap := func() uint64 {
					var m runtime.MemStats
					runtime.GC()
					runtime.ReadMemStats(&m)
					return m.HeapAlloc
				}
				before, next := heap(), every
				var most uint64
				to := &counter{each: func(size int) {
					if size >= next {
						next += every
						most = max(most, heap())
					}
				}}
				if err := run(t, box, to); err != nil {
					t.Fatal(err)
				}
				if most == 0 || most > before+room {
					t.Errorf("%d bytes in memory, %d before", most, before)
				}
			})
		}
	}
}
