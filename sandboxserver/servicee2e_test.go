//go:build unix

package sandboxserver

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestServicesForReal: a program that listens in a sandbox is reached through
// the client by requests and connections, and a file by its link.
func TestServicesForReal(t *testing.T) {
	t.Parallel()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		self, err = os.ReadFile(os.Args[0])
	}
	if err != nil {
		t.Fatal(err)
	}
	eachIsolation(t, func(b *bench) {
		t := b.t
		listener := httptest.NewServer(b.server)
		defer listener.Close()
		c, err := sandboxclient.New(sandboxclient.WithEndpoint(listener.URL+"/v2/sandboxes"), sandboxclient.WithAPIKey(testKey))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		sb, err := c.Create(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := sb.WriteFile(t.Context(), "service", self); err != nil {
			t.Fatal(err)
		}
		// A copy: what this process wrote, a fork of it may have open for a
		// moment, and the kernel does not execute that.
		cmd := sb.Shell("cp service own && chmod +x own && exec ./own")
		cmd.Env = map[string]string{serviceKeyVar: "hello from"}
		cmd.OpenStdin = true
		output, stdout := io.Pipe()
		defer stdout.Close()
		cmd.Stdout = stdout
		p, err := cmd.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer p.Kill(t.Context())
		var port int
		if _, err := fmt.Fscanf(output, "127.0.0.1:%d\n", &port); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, output) }()

		service := sb.Service(port, nil)
		get := func(hc *http.Client, address string) (int, string) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := hc.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			return resp.StatusCode, string(body)
		}
		if status, body := get(service.Client(), "/a/b"); status != http.StatusOK || body != "hello from /a/b" {
			t.Errorf("status %d: %s", status, body)
		}
		u, err := service.URL(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conn, _, err := websocket.Dial(t.Context(), u.JoinPath("echo").String(), &websocket.DialOptions{HTTPClient: service.Client()})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.CloseNow()
		for range 3 {
			if err := conn.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
				t.Fatal(err)
			}
			if _, data, err := conn.Read(t.Context()); string(data) != "hello" || err != nil {
				t.Errorf("%q, %v", data, err)
			}
		}
		if status, _ := get(sb.Service(1, nil).Client(), "/"); status != http.StatusBadGateway {
			t.Errorf("where nothing listens: status %d", status)
		}
		link, err := sb.DownloadURL(t.Context(), "service", &sandboxclient.DownloadURLOptions{ExpiresIn: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if status, body := get(http.DefaultClient, link.DownloadURL); status != http.StatusOK || body != string(self) {
			t.Errorf("link: status %d, %d bytes", status, len(body))
		}
		if err := sb.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if _, _, err := conn.Read(t.Context()); err == nil {
			t.Error("the connection outlives the sandbox")
		}
		if status, _ := get(http.DefaultClient, listener.URL+"/dl/x/y"); status != http.StatusForbidden {
			t.Errorf("no link: status %d", status)
		}
		if r, err := sb.Status(t.Context()); err != nil || r.Status != sandboxclient.StatusStopped {
			t.Errorf("who is not let in wakes the sandbox: %+v, %v", r, err)
		}
		if status, body := get(http.DefaultClient, link.DownloadURL); status != http.StatusOK || body != string(self) {
			t.Errorf("link to a sandbox that was stopped: status %d, %d bytes", status, len(body))
		}
		if err := sb.Delete(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
