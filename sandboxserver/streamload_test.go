package sandboxserver_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/wire"
)

// fast reads output frames as quickly as it can, and reports the end.
func (c *client) fast(to io.Writer, next *int64, enough func(int64) bool) (exit bool) {
	c.t.Helper()
	var message bytes.Buffer
	for {
		_, r, err := c.conn.Reader(c.ctx)
		if err == nil {
			message.Reset()
			_, err = message.ReadFrom(r)
		}
		if err != nil {
			c.t.Fatal(err)
		}
		f, err := wire.Decode(message.Bytes())
		if err != nil {
			c.t.Fatal(err)
		}
		switch f.Type {
		case gen.FrameStdout:
			if f.Offset != *next {
				c.t.Fatalf("offset %d, want %d", f.Offset, *next)
			}
			*next += int64(len(f.Data))
			_, _ = to.Write(f.Data)
			if enough(*next) {
				return false
			}
		case gen.FrameExit:
			return true
		case gen.FrameStarted:
		default:
			c.t.Fatalf("%s", message.String())
		}
	}
}

// TestStreamCutFiftyTimes breaks the connection at random places of 64 MiB of
// output, some of it on its way then.
func TestStreamCutFiftyTimes(t *testing.T) {
	t.Parallel()
	const size, cuts = 64 << 20, 50
	b := newStreamBox(t)
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	command := fmt.Sprintf(`echo once >> $HOME/runs; head -c %d /dev/urandom | base64 -w0 | tee >(sha256sum > $HOME/sum)`, size/4*3)
	hash := sha256.New()
	var next int64
	c := b.dial()
	c.send(m{"type": "execute", "command": command, "command_id": "cut", "close_stdin": true})
	for cut := range cuts {
		stop := int64(size/cuts)*int64(cut) + random.Int64N(size/cuts)
		if c.fast(hash, &next, func(n int64) bool { return n > stop }) {
			t.Fatal("ended too early")
		}
		c.drop()
		c = b.dial()
		c.send(m{"type": "reconnect", "command_id": "cut", "stdout_offset": next, "stderr_offset": 0})
	}
	c.fast(hash, &next, func(int64) bool { return false })
	if next != size {
		t.Errorf("%d bytes, want %d", next, size)
	}
	sum := hex.EncodeToString(hash.Sum(nil))
	if got := b.run("cat $HOME/sum"); !strings.HasPrefix(got, sum) {
		t.Errorf("hash %s, want %s", sum, got)
	}
	if got := b.run("cat $HOME/runs"); got != "once\n" {
		t.Errorf("ran %q", got)
	}
}

// TestStreamManyAtOnce runs a thousand commands at the same time.
func TestStreamManyAtOnce(t *testing.T) {
	t.Parallel()
	const many = 1000
	b := newStreamBox(t)
	begin := time.Now()
	var all sync.WaitGroup
	for i := range many {
		c := b.dial()
		all.Go(func() {
			text := fmt.Sprintf("command %d\n", i)
			c.send(m{"type": "execute", "command": "read -r line; echo \"$line\"", "timeout_seconds": 0})
			if f := c.receive(); f.Type != gen.FrameStarted {
				t.Errorf("%s", show(f))
				return
			}
			c.send(m{"type": "input", "data": text})
			c.exits(0)
			c.want(text, "")
			_ = c.conn.Close(websocket.StatusNormalClosure, "")
		})
	}
	all.Wait()
	t.Logf("%d commands in %v", many, time.Since(begin))
	if out := b.run(`n=0; for p in /proc/[0-9]*; do n=$((n+1)); done; echo $n`); out != "2\n" && b.server.Isolation() == "native" {
		t.Errorf("%s processes in the sandbox, want the agent and the one that counts", strings.TrimSpace(out))
	}
}
