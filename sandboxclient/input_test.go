package sandboxclient_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

func TestT068InputThatIsNotOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := scripted(t, func(c *conn) {
			c.until("execute")
			c.send(started)
			c.drain()
			if len(c.received()) != 1 {
				t.Errorf("the client sent %v", c.received())
			}
		})
		process := start(t, p, nil)
		if _, err := process.Write([]byte("x")); !errors.Is(err, sandboxclient.ErrInvalid) {
			t.Errorf("error %v", err)
		}
		if err := process.CloseWrite(); err != nil {
			t.Error(err)
		}
		_ = process.Detach()
		p.close()
	})
}

// TestT069T070T071CloseWrite: one end of the file for each connection that
// has not had it, and none for a terminal.
func TestT069T070T071CloseWrite(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		tty  bool
		lose bool
		want int
	}{
		"T069 twice":               {want: 1},
		"T070 without connection":  {lose: true, want: 1},
		"T071 terminal":            {tty: true},
		"T071 terminal, a new one": {tty: true, lose: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				serve := func(c *conn) {
					c.recv()
					c.send(started)
					if tt.lose && c.n == 0 {
						c.pause(800 * ms)
						c.link.cut()
						return
					}
					go func() { c.pause(5 * sec); c.send(exit(0)) }()
					c.drain()
				}
				p := scripted(t, serve, serve)
				process := start(t, p, func(c *sandboxclient.Cmd) {
					c.OpenStdin = true
					if tt.tty {
						c.TTY = &sandboxclient.WindowSize{Rows: 1, Cols: 1}
					}
				})
				<-time.After(sec)
				for range 2 {
					if err := process.CloseWrite(); err != nil {
						t.Error(err)
					}
				}
				if _, err := process.Write([]byte("x")); (err != nil) == tt.tty {
					t.Errorf("write behind the end: %v", err)
				}
				if err := process.Wait(); err != nil {
					t.Error(err)
				}
				if _, err := process.Write([]byte("x")); err == nil {
					t.Error("write to what has ended")
				}
				connections := p.connections()
				if got := connections[len(connections)-1].sent("close_stdin"); len(got) != tt.want {
					t.Errorf("%d ends of the file", len(got))
				}
				p.close()
			})
		})
	}
}

// TestT142T143ServerWithoutCloseStdin: the end of the file is lost on a server
// that does not know it, which the client's deadline ends.
func TestT142T143ServerWithoutCloseStdin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := scripted(t, func(c *conn) {
			c.until("execute")
			c.send(started)
			if c.until("close_stdin") && c.until("kill") {
				c.send(exit(137))
			}
			c.drain()
		})
		c := p.box().Shell("cat")
		c.Timeout, c.Stdin = sec, strings.NewReader("x")
		err := c.Run(t.Context())
		if !errors.Is(err, sandboxclient.ErrCommandTimeout) || errors.Is(err, sandboxclient.ErrOutcomeUnknown) {
			t.Errorf("error %v", err)
		}
		p.close()
	})
}

// torn is input that breaks off.
type torn struct {
	text io.Reader
	err  error
}

func (f *torn) Read(p []byte) (int, error) {
	if n, err := f.text.Read(p); err == nil {
		return n, nil
	}
	return 0, f.err
}

// TestBadStdin: input that cannot be sent to its end must not look as if it
// had one.
func TestBadStdin(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is gone")
	tests := map[string]struct {
		stdin io.Reader
		want  error
	}{
		"a read that fails":     {&torn{strings.NewReader("abc"), broken}, broken},
		"no UTF-8":              {strings.NewReader("abc\xffdef"), sandboxclient.ErrInvalid},
		"a character that ends": {strings.NewReader("abc\xe6\xbc"), sandboxclient.ErrInvalid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newModel(t, program(nil))
				c := m.box().Shell("x")
				c.Stdin = tt.stdin
				if err := c.Run(t.Context()); !errors.Is(err, tt.want) {
					t.Errorf("error %v", err)
				}
				if cmd := m.only(); cmd.eof || cmd.kills != 1 || len(cmd.input) > 3 {
					t.Errorf("input %q, its end %v, %d kills", cmd.input, cmd.eof, cmd.kills)
				}
				m.close()
			})
		})
	}
}

// TestWriteWaitsForAConnection: input is not lost in a pause.
func TestWriteWaitsForAConnection(t *testing.T) {
	t.Parallel()
	for _, counts := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			m := newModel(t, program(nil))
			m.counts = counts
			process := start(t, m.peer, func(c *sandboxclient.Cmd) { c.OpenStdin = true })
			for _, word := range []string{"one ", "two ", "three"} {
				if _, err := io.WriteString(process, word); err != nil {
					t.Error(err)
				}
				<-time.After(sec) // it has arrived, as a ping tells
				conns := m.connections()
				conns[len(conns)-1].link.cut()
				synctest.Wait()
			}
			_ = process.CloseWrite()
			if err := process.Wait(); !errors.As(err, new(*sandboxclient.ExitError)) {
				t.Error(err)
			}
			if cmd := m.only(); string(cmd.input) != "one two three" || len(m.connections()) != 4 {
				t.Errorf("%q on %d connections", cmd.input, len(m.connections()))
			}
			m.close()
		})
	}
}

// TestBlockedStdin: a reader that blocks does not hold up the end.
func TestBlockedStdin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t, func(c *command) { c.sleep(sec); c.finish(exit(0)) })
		r, w := io.Pipe()
		c := m.box().Shell("x")
		c.Stdin = r
		if err := c.Run(t.Context()); err != nil || time.Since(m.began) != sec {
			t.Error(err, time.Since(m.began))
		}
		_ = w.Close()
		m.close()
	})
}
