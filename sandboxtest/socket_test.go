package sandboxtest_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/sandboxtest"
)

// shouting answers messages in capitals until it is told to stop.
func shouting(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for {
			kind, message, err := conn.Read(r.Context())
			switch {
			case err != nil:
				return
			case string(message) == "drop":
				return
			case string(message) == "stop":
				_ = conn.Close(4000, "stopped")
				return
			}
			if err := conn.Write(r.Context(), kind, []byte(strings.ToUpper(string(message)))); err != nil {
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func dial(t *testing.T, rt http.RoundTripper, url string) *websocket.Conn {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPClient: &http.Client{Transport: rt}, CompressionMode: websocket.CompressionContextTakeover})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

func say(ctx context.Context, conn *websocket.Conn, message string) (string, error) {
	if err := conn.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
		return "", err
	}
	_, answer, err := conn.Read(ctx)
	return string(answer), err
}

// taped is the tape of a connection with some messages.
func taped(t *testing.T, messages ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.tape")
	within(t, func(t *testing.T) {
		server := shouting(t)
		conn := dial(t, sandboxtest.Record(t, path, nil), server.URL)
		for _, message := range messages {
			if answer, err := say(t.Context(), conn, message); err == nil && answer != strings.ToUpper(message) {
				t.Errorf("%s: %s", message, answer)
			}
		}
		_ = conn.Close(websocket.StatusNormalClosure, "done")
	})
	return path
}

const here = "http://127.0.0.1:1"

func TestSocketTape(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(taped(t, "hello", strings.Repeat("x", 200), "stop"))
	if err != nil {
		t.Fatal(err)
	}
	want := tapeHead + `{"n":1,"request":{"method":"GET","url":"http://127.0.0.1:1","header":{"Sec-Websocket-Version":["13"],"Upgrade":["websocket"]}}}
{"n":1,"answer":{"status":101,"header":{"Upgrade":["websocket"]}}}
{"n":1,"client":{"kind":"text","text":"hello"}}
{"n":1,"server":{"kind":"text","text":"HELLO"}}
{"n":1,"client":{"kind":"text","text":"` + strings.Repeat("x", 200) + `"}}
{"n":1,"server":{"kind":"text","text":"` + strings.Repeat("X", 200) + `"}}
{"n":1,"client":{"kind":"text","text":"stop"}}
{"n":1,"server":{"kind":"close","base64":"D6BzdG9wcGVk"}}
`
	if !strings.HasPrefix(string(raw), want) {
		t.Errorf("tape:\n%s\nwant:\n%s", raw, want)
	}
}

func TestSocketReplay(t *testing.T) {
	t.Parallel()
	path := taped(t, "hello", "drop")
	r := &recorder{TB: t}
	conn := dial(t, sandboxtest.Replay(r, path), here)
	if answer, err := say(t.Context(), conn, "hello"); answer != "HELLO" || err != nil {
		t.Errorf("%q %v", answer, err)
	}
	if answer, err := say(t.Context(), conn, "drop"); err == nil {
		t.Errorf("%q", answer)
	}
	r.end()
	if r.failed {
		t.Error(r.errors)
	}
}

func TestSocketPing(t *testing.T) {
	t.Parallel()
	path := taped(t, "hello")
	r := &recorder{TB: t}
	conn := dial(t, sandboxtest.Replay(r, path), here)
	closed := conn.CloseRead(t.Context())
	if err := conn.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	_ = conn.CloseNow()
	<-closed.Done()
	r.end()
	failedWith(t, r, "not replayed:", `text frame of the client: "hello"`, `text frame of the server: "HELLO"`)
}

func TestSocketMismatch(t *testing.T) {
	t.Parallel()
	path := taped(t, `{"a":1}`)
	for message, want := range map[string]string{
		`{"a":2}`: "message is not on the tape (-tape +message)",
		"two":     "a message comes after the last of the tape",
	} {
		r := &recorder{TB: t}
		rt := sandboxtest.Replay(r, path)
		conn := dial(t, rt, here)
		if message == "two" {
			if _, err := say(t.Context(), conn, `{"a":1}`); err != nil {
				t.Error(err)
			}
		}
		if _, err := say(t.Context(), conn, message); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
			t.Errorf("%s: %v", message, err)
		}
		if status, _, err := send(t.Context(), rt, "GET", here+"/again", ""); status != http.StatusBadRequest || err != nil {
			t.Errorf("afterwards %d, %v", status, err)
		}
		r.end()
		failedWith(t, r, want)
	}
}

// TestSocketThatIsCanceled does not keep its reader.
func TestSocketThatIsCanceled(t *testing.T) {
	t.Parallel()
	path := taped(t, "hello")
	conn := dial(t, sandboxtest.Replay(&recorder{TB: t}, path), here)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := conn.Read(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
