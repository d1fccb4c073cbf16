package bench

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/wire"
)

// texts are kinds of output, by what they cost to decode.
var texts = map[string]string{
	"plain": "the quick brown fox jumps over the lazy dog, again and again; ",
	"utf8":  "größer als früher, 日本語のテキスト, naïve café 😀 ",
	"esc":   "{\"key\": \"a \\\"b\\\" c\", \"n\": 1}\n\t",
	"ansi":  "\x1b[32mok\x1b[0m pkg \x1b[1;31mfail\x1b[0m 0.1s\n",
}

// stub is the server: it answers the handshake and writes frames that were
// encoded before, so that the clients are what limits the speed. What it writes
// depends on the command: "stream KIND SIZE COUNT", "echo" or "true".
type stub struct{ chunks sync.Map }

func newStub() http.Handler {
	s := &stub{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /boxes/{name}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"name":"box","status":"ready","dataplane_url":"http://%s/box"}`, r.Host)
	})
	mux.HandleFunc("/box/execute/ws", s.command)
	mux.HandleFunc("POST /box/upload", s.upload)
	mux.HandleFunc("GET /box/download", s.download)
	mux.HandleFunc("/box/tunnel", tunnel)
	return mux
}

func (s *stub) command(w http.ResponseWriter, r *http.Request) {
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, _ = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	in := &clientFrames{from: rw.Reader, to: c}
	first, err := in.next()
	if err != nil {
		return
	}
	var execute gen.ExecuteFrame
	if json.Unmarshal(first, &execute) != nil {
		return
	}
	started := frame(fmt.Appendf(nil, `{"type":"started","command_id":%q,"pid":7}`, execute.CommandID))
	words := strings.Fields(execute.Command)
	switch words[0] {
	case "stream":
		_, _ = c.Write(started)
		s.stream(c, words[1], atoi(words[2]), atoi(words[3]))
	case "echo":
		_, _ = c.Write(started)
		in.echo(c)
	default:
		output := frame(wire.AppendOutput(nil, gen.FrameStdout, []byte("ok\n"), 0))
		_, _ = c.Write(started)
		_, _ = c.Write(output)
	}
	_, _ = c.Write(frame([]byte(`{"type":"exit","exit_code":0}`)))
	_, _ = io.Copy(io.Discard, in.from) // until the client is done
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// blockSize is how much the server writes at once, at least a frame.
const blockSize = 256 << 10

// chunk is one frame of output up to the digits of its offset, and the size of
// its text.
type chunk struct {
	message []byte
	size    int
}

func (s *stub) chunk(kind string, size int) chunk {
	key := kind + strconv.Itoa(size)
	if c, ok := s.chunks.Load(key); ok {
		return c.(chunk)
	}
	text := strings.Repeat(texts[kind], size/len(texts[kind])+1)[:size]
	text = strings.ToValidUTF8(text, "x")
	message := wire.AppendOutput(nil, gen.FrameStdout, []byte(text), 0)
	c := chunk{message[:len(message)-len("0}")], len(text)}
	s.chunks.Store(key, c)
	return c
}

// block is frames one behind the other.
type block struct {
	data   []byte
	after  []int // the ends of the offsets
	digits int   // of all offsets, 0 if they differ
}

// set makes a block of n frames. If it has as many already, and their offsets
// have as many digits, only those are written.
func (b *block) set(c chunk, offset, n int) {
	digits := len(strconv.Itoa(offset))
	if digits != len(strconv.Itoa(offset+(n-1)*c.size)) {
		digits = 0
	}
	if digits == 0 || digits != b.digits || n != len(b.after) {
		b.data, b.after, b.digits = b.data[:0], b.after[:0], digits
		for range n {
			number := strconv.Itoa(offset)
			b.data = append(appendHead(b.data, len(c.message)+len(number)+1), c.message...)
			b.data = append(b.data, number...)
			b.after = append(b.after, len(b.data))
			b.data = append(b.data, '}')
			offset += c.size
		}
		return
	}
	for _, i := range b.after {
		for rest := offset; rest > 0; rest /= 10 {
			i--
			b.data[i] = byte('0' + rest%10)
		}
		offset += c.size
	}
}

// stream writes count chunks.
func (s *stub) stream(to net.Conn, kind string, size, count int) {
	c := s.chunk(kind, size)
	var b block
	for offset := 0; count > 0; {
		n := min(count, max(1, blockSize/len(c.message)))
		b.set(c, offset, n)
		if _, err := to.Write(b.data); err != nil {
			return
		}
		offset += n * c.size
		count -= n
	}
}

// frame is an unmasked text message.
func frame(payload []byte) []byte {
	return append(appendHead(nil, len(payload)), payload...)
}

func appendHead(f []byte, n int) []byte {
	f = append(f, 0x81)
	switch {
	case n < 126:
		return append(f, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(f, 126), uint16(n))
	default:
		return binary.BigEndian.AppendUint64(append(f, 127), uint64(n))
	}
}

// clientFrames reads what a client sends, and answers its pings.
type clientFrames struct {
	from *bufio.Reader
	to   io.Writer
	buf  []byte
}

func (in *clientFrames) next() ([]byte, error) {
	for {
		var head [14]byte
		if _, err := io.ReadFull(in.from, head[:2]); err != nil {
			return nil, err
		}
		n, rest := int(head[1]&0x7f), head[2:6]
		switch n {
		case 126:
			rest = head[2:8]
		case 127:
			rest = head[2:14]
		}
		if _, err := io.ReadFull(in.from, rest); err != nil {
			return nil, err
		}
		switch n {
		case 126:
			n = int(binary.BigEndian.Uint16(rest))
		case 127:
			n = int(binary.BigEndian.Uint64(rest))
		}
		mask := rest[len(rest)-4:]
		if cap(in.buf) < n {
			in.buf = make([]byte, n)
		}
		payload := in.buf[:n]
		if _, err := io.ReadFull(in.from, payload); err != nil {
			return nil, err
		}
		for i := range payload {
			payload[i] ^= mask[i%4]
		}
		switch head[0] & 0x0f {
		case 1:
			return payload, nil
		case 8:
			return nil, io.EOF
		case 9:
			_, _ = in.to.Write(append([]byte{0x8a, byte(n)}, payload...))
		}
	}
}

// echo sends input back as output until the end of the input.
func (in *clientFrames) echo(c net.Conn) {
	var message []byte
	for offset := int64(0); ; {
		payload, err := in.next()
		if err != nil {
			return
		}
		f, err := wire.Decode(payload)
		if err != nil || f.Type != gen.FrameInput {
			return
		}
		message = wire.AppendOutput(message[:0], gen.FrameStdout, f.Data, offset)
		offset += int64(len(f.Data))
		if _, err := c.Write(frame(message)); err != nil {
			return
		}
	}
}
