package sandboxclient_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

const counted = `{"type":"started","command_id":"cmd-123","pid":42,"stdin_id":"1","stdin_received":0}`

// collect takes input to its end, and ends the command.
func collect(c *conn, got *strings.Builder) {
	for f := c.recv(); f != nil; f = c.recv() {
		switch f["type"] {
		case "input":
			text, _ := f["data"].(string)
			got.WriteString(text)
		case "close_stdin":
			c.send(exit(0))
		case "kill":
			c.send(exit(137))
		}
	}
}

// TestInputInDoubt: input of which it is not known whether it arrived is an
// error at once, also when nobody is left to be told by a write; what the
// server counts is not in doubt.
func TestInputInDoubt(t *testing.T) {
	t.Parallel()
	cutAfter := func(hello string, d time.Duration) func(*conn) {
		return func(c *conn) {
			c.until("execute")
			c.send(hello)
			if d == 0 {
				c.recv()
			} else {
				go c.drain() // as a relay does, which answers pings
				c.pause(d)
			}
			c.link.reset()
		}
	}
	tests := map[string]struct {
		first  func(*conn)
		again  string
		after  time.Duration // comes the second acknowledgement
		unsure bool
	}{
		"after the end of the input":                {cutAfter(started, 0), started, 0, true},
		"of a relay that said it had arrived":       {cutAfter(strings.Replace(counted, `"stdin_received":0`, `"stdin_received":1`, 1), sec), counted, 0, true},
		"of a server that counts":                   {cutAfter(counted, 0), counted, 0, false},
		"of a server that counts, and is slow then": {cutAfter(counted, 0), counted, 6 * sec, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var got strings.Builder
				p := scripted(t, tt.first, func(c *conn) {
					c.until("reconnect")
					c.pause(tt.after)
					c.send(tt.again)
					collect(c, &got)
				})
				_, err := p.box().Run(t.Context(), "cat", &sandboxclient.RunOptions{Stdin: strings.NewReader("hello")})
				if errors.Is(err, sandboxclient.ErrOutcomeUnknown) != tt.unsure || (err == nil) == tt.unsure {
					t.Errorf("error %v", err)
				}
				if took := time.Since(p.began); took > 10*sec {
					t.Errorf("it took %s", took)
				}
				p.close()
				if !tt.unsure && got.String() != "hello" {
					t.Errorf("the input is %q", got.String())
				}
			})
		})
	}
}

// TestInputErrors match what a caller of os/exec and io expects.
func TestInputErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := scripted(t, func(c *conn) {
			c.until("execute")
			c.send(started)
			collect(c, new(strings.Builder))
		})
		c := p.box().Shell("cat")
		c.OpenStdin = true
		process, err := c.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := process.Write([]byte("\xe2")); err != nil {
			t.Error(err)
		}
		if _, err := process.Write([]byte("a")); !errors.Is(err, sandboxclient.ErrInvalid) {
			t.Errorf("half a character: %v", err)
		}
		if _, err := process.Write([]byte("fine")); err != nil {
			t.Errorf("after half a character: %v", err)
		}
		if err := process.CloseWrite(); err != nil {
			t.Error(err)
		}
		if _, err := process.Write([]byte("late")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("after the end: %v", err)
		}
		if err := process.Wait(); err != nil {
			t.Error(err)
		}
		if err := process.Resize(t.Context(), sandboxclient.WindowSize{Rows: 1, Cols: 1}); !errors.Is(err, sandboxclient.ErrInvalid) {
			t.Errorf("the size of no terminal: %v", err)
		}
		p.close()
	})
	synctest.Test(t, func(t *testing.T) {
		p := scripted(t, func(c *conn) { c.until("execute"); c.send(started, exit(0)); c.drain() })
		c := p.box().Shell("true")
		c.OpenStdin = true
		process, err := c.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		<-process.Done()
		if n, err := process.Write([]byte("x")); n != 0 || !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("%d, %v", n, err)
		}
		p.close()
	})
}

// TestWriteGivenUp: input that could not be sent before the command was given
// up does not count as written.
func TestWriteGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, func(c *conn) {
			if c.n == 0 {
				c.until("execute")
				c.send(started)
				c.pause(sec)
			}
			c.link.reset()
		})
		c := p.box().Shell("cat")
		c.OpenStdin, c.Timeout = true, -1
		process, err := c.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(1200 * ms)
		if n, err := process.Write([]byte("hello")); n != 0 || !errors.Is(err, sandboxclient.ErrOutcomeUnknown) {
			t.Errorf("%d, %v", n, err)
		}
		if !errors.As(process.Wait(), new(*sandboxclient.DisconnectError)) {
			t.Errorf("error %v", process.Wait())
		}
		p.close()
	})
}

// TestDetachSendsTheRest: input that was written, or can be read, arrives
// before the command is let go of, to its end; what does not is said.
func TestDetachSendsTheRest(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("0123456789abcdef", 64<<10)
	for name, tt := range map[string]struct {
		stdin io.Reader
		want  string
		cut   bool
	}{
		"written":        {nil, "written", false},
		"read":           {strings.NewReader(big), big, false},
		"never at end":   {io.MultiReader(strings.NewReader("some"), pending{}), "some", true},
		"nothing at all": {strings.NewReader(""), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var got strings.Builder
				p := scripted(t, func(c *conn) { c.until("execute"); c.send(started); collect(c, &got) })
				ctx, cancel := context.WithCancel(t.Context())
				c := p.box().Shell("cat >file")
				c.Stdin, c.OpenStdin = tt.stdin, tt.stdin == nil
				process, err := c.Start(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if c.OpenStdin {
					if _, err := io.WriteString(process, tt.want); err != nil {
						t.Error(err)
					}
					if err := process.CloseWrite(); err != nil {
						t.Error(err)
					}
				}
				if err := process.Detach(); (err != nil) != tt.cut {
					t.Errorf("%v, %v", err, process.Wait())
				}
				cancel()
				<-time.After(2 * time.Hour) // the reader of the caller ends
				if got.String() != tt.want {
					t.Errorf("%d bytes, want %d", got.Len(), len(tt.want))
				}
				p.end()
			})
		})
	}
}

// pending is a reader that has nothing to say for an hour.
type pending struct{}

func (pending) Read([]byte) (int, error) {
	<-time.After(time.Hour)
	return 0, io.EOF
}

// TestHeldInputRests: input that waits while output is not taken does not keep
// this side busy.
func TestHeldInputRests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := scripted(t, func(c *conn) {
			c.until("execute")
			c.send(counted)
			go func() {
				for i := 0; c.send(stdout(strings.Repeat("a", 32<<10), int64(i)<<15)); i++ {
				}
			}()
			collect(c, new(strings.Builder))
		})
		release := make(chan struct{})
		c := p.box().Shell("cat")
		c.Timeout, c.WaitDelay = -1, sec
		c.Stdin = bytes.NewReader(bytes.Repeat([]byte("i"), 8<<20))
		c.Stdout = writerFunc(func(b []byte) (int, error) { <-release; return len(b), nil })
		ctx, cancel := context.WithCancel(t.Context())
		process, err := c.Start(ctx)
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute) // a loop without a pause would not let the clock move
		cancel()
		_ = process.Wait()
		close(release)
		p.close()
	})
}
