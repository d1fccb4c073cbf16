package sandboxclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func excerpt(s string, n int) string {
	from, to := max(0, n-20), min(len(s), n+20)
	return fmt.Sprintf("%d bytes long with %q from %d", len(s), s[from:to], from)
}

// fault is something that goes wrong on the way.
type fault struct {
	name   string
	set    func(m *model)
	pieces func() []piece
	options
	within time.Duration // 0 is a minute
	check  func(t *testing.T, m *model, s scenario, o outcome)
}

// times has a fault strike the first times that a point is passed.
func times(n int, at point, strike func(*conn) bool) func(*model) {
	return func(m *model) {
		m.struck = append(m.struck, at)
		var mu sync.Mutex
		left := n
		m.strike = func(c *conn, here point) bool {
			if here != at {
				return true
			}
			mu.Lock()
			left--
			hit := left >= 0
			mu.Unlock()
			if hit {
				m.strikes.Add(1)
			}
			return !hit || strike(c)
		}
	}
}

// nth has a fault strike the nth time that a point is passed, and, with
// further, each nth time after.
func nth(n int, further bool, at point, strike func(*conn) bool) func(*model) {
	return func(m *model) {
		m.struck = append(m.struck, at)
		var mu sync.Mutex
		passed := 0
		m.strike = func(c *conn, here point) bool {
			if here != at {
				return true
			}
			mu.Lock()
			passed++
			hit := passed == n || further && passed%n == 0
			mu.Unlock()
			if hit {
				m.strikes.Add(1)
			}
			return !hit || strike(c)
		}
	}
}

func cut(c *conn) bool    { c.link.cut(); return false }
func reset(c *conn) bool  { c.link.reset(); return false }
func freeze(c *conn) bool { c.link.freeze(); return true }

func closes(code websocket.StatusCode) func(*conn) bool {
	return func(c *conn) bool {
		c.close(code)
		return false
	}
}

// and joins what is set.
func and(all ...func(*model)) func(*model) {
	return func(m *model) {
		for _, set := range all {
			set(m)
		}
	}
}

// refuses has the dials from one to another be answered by a function.
func refuses(from, to int, answer func(context.Context) (*http.Response, error)) func(*model) {
	return func(m *model) {
		m.refuse = func(ctx context.Context, n int) (*http.Response, error) {
			if n < from || n >= to {
				return nil, errAccept
			}
			return answer(ctx)
		}
	}
}

func status(code int, header ...string) func(context.Context) (*http.Response, error) {
	return func(context.Context) (*http.Response, error) {
		resp := reply(code, `{"detail":{"error":"ServiceUnavailable","message":"not now"}}`)
		for i := 0; i+1 < len(header); i += 2 {
			resp.Header.Set(header[i], header[i+1])
		}
		return resp, nil
	}
}

func hangs(ctx context.Context) (*http.Response, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func refused(context.Context) (*http.Response, error) {
	return nil, errors.New("connect: connection refused")
}

// outage has nobody answer for a time, from the loss of a connection on.
func outage(d time.Duration, answer func(context.Context) (*http.Response, error)) func(*model) {
	return func(m *model) {
		var mu sync.Mutex
		var until time.Time
		nth(5, false, chunkSent, func(c *conn) bool {
			mu.Lock()
			defer mu.Unlock()
			until = time.Now().Add(d)
			return reset(c)
		})(m)
		m.refuse = func(ctx context.Context, _ int) (*http.Response, error) {
			mu.Lock()
			out := time.Now().Before(until)
			mu.Unlock()
			if out {
				return answer(ctx)
			}
			return nil, errAccept
		}
	}
}

// large is output in frames of about that size.
func large(size int) func() []piece {
	return func() []piece {
		text := strings.Repeat("grün 漢字 😀\n", size/20)
		return append(ordinary(), piece{0, text, false}, piece{1, "end\n", false})
	}
}

// narrow is one character for each piece.
func narrow() []piece {
	var all []piece
	for _, char := range "aé漢\U0001F600zß\u2028\U0001F600éa" {
		all = append(all, piece{0, string(char), false}, piece{1, string(char) + "é", false})
	}
	return append(ordinary()[:2], all...)
}

// replaced has bytes that are no characters.
func replaced() []piece {
	return append(ordinary(), piece{0, "ab\uFFFD", true}, piece{0, "cd", false}, piece{0, "\uFFFD\uFFFD", true}, piece{0, "é\uFFFDé", true},
		piece{1, "\uFFFD", true}, piece{0, "end", false}, piece{1, "\uFFFD", false}, piece{1, "x\uFFFD", true})
}

func rewrites(f func(string) []string) func(*model) {
	return func(m *model) {
		m.rewrite = func(_ *conn, message string) []string { return f(message) }
	}
}

func withUnknown(message string) []string {
	return []string{
		`{"type":"heartbeat"}`, `{"type":"ssh_agent_data","channel_id":"ch-1","data":"eA=="}`, `{"type":"ssh_agent_close","channel_id":"ch-1"}`,
		`{"extra":{"type":["exit"]},` + message[1:],
	}
}

func delays(d time.Duration) func(*model) {
	return func(m *model) {
		m.strike = func(c *conn, _ point) bool {
			c.pause(d)
			return true
		}
	}
}

// hasty ends, and then has more to say.
func hasty(c *conn) bool {
	c.send(exit(7), stdout("late", 1<<20), exit(8), started)
	c.drain()
	return false
}

// restarts has the server know nothing of the command any more.
func restarts(m *model) {
	nth(5, false, chunkSent, func(c *conn) bool {
		m.forget()
		return cut(c)
	})(m)
}

// forgets has the server not keep what comes next.
func forgets(m *model) {
	nth(5, false, chunkSent, func(c *conn) bool {
		cmd := m.only()
		m.set(func() { cmd.kept[0] = cmd.written[0] + 1 })
		return cut(c)
	})(m)
}
