package main

import (
	"bytes"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

// TestOpen: the address is printed, and opened when asked to.
func TestOpen(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there is no local runtime on Windows")
	}
	server, err := sandboxserver.New(sandboxserver.Config{MinIsolation: sandboxserver.IsolationProcess})
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	t.Cleanup(func() {
		listener.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := sandboxclient.New(sandboxclient.WithEndpoint(listener.URL+"/v2/sandboxes"), sandboxclient.WithAPIKey(server.APIKey()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sb, err := c.Create(t.Context(), &sandboxclient.CreateSandbox{Name: "box"})
	if err != nil {
		t.Fatal(err)
	}
	opened := filepath.Join(t.TempDir(), "opened")
	browser := filepath.Join(t.TempDir(), "browser")
	script := "#!/bin/sh\nprintf '%s\\n' \"$1\" >" + opened + ".new && mv " + opened + ".new " + opened + "\n"
	if err := os.WriteFile(browser, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	open := func(args ...string) (code int, stdout, stderr string) {
		var out, errs bytes.Buffer
		env := map[string]string{"LANGSMITH_ENDPOINT": listener.URL, "LANGSMITH_API_KEY": server.APIKey(), "BROWSER": browser}
		a := &app{in: strings.NewReader(""), out: &out, err: &errs, getenv: func(key string) string { return env[key] }}
		code = a.main(append([]string{"open"}, args...))
		return code, out.String(), errs.String()
	}

	code, stdout, stderr := open("--expires", "1h", "box", "8080")
	u, err := url.Parse(strings.TrimSpace(stdout))
	if code != 0 || stderr != "" || err != nil || !strings.HasPrefix(u.Host, sb.Info().ID+"--8080.localhost:") || u.Query().Get("token") == "" {
		t.Errorf("code %d, printed %q and %q", code, stdout, stderr)
	}
	if _, err := os.Stat(opened); err == nil {
		t.Error("opened without a terminal")
	}
	code, stdout, stderr = open("--browser", "box", "8080")
	var got []byte
	for deadline := time.Now().Add(10 * time.Second); got == nil && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		got, _ = os.ReadFile(opened)
	}
	if code != 0 || string(got) != stdout {
		t.Errorf("code %d, printed %q and %q, opened %q", code, stdout, stderr, got)
	}
	if code, stdout, stderr = open("--access", "restricted", "box", "8080"); code != 0 || strings.Contains(stdout, "token") {
		t.Errorf("code %d, printed %q and %q", code, stdout, stderr)
	}

	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"shared by login":   {[]string{"box", "8080"}, "--access off"},
		"no such sandbox":   {[]string{"none", "8080"}, "none"},
		"no port":           {[]string{"box"}, "want a sandbox and a port"},
		"a name for a port": {[]string{"box", "http"}, `port "http"`},
		"port 0":            {[]string{"box", "0"}, "port is 0"},
		"unknown access":    {[]string{"--access", "all", "box", "80"}, "--access"},
		"two days":          {[]string{"--expires", "48h", "box", "80"}, "more than 24h"},
	} {
		if code, stdout, stderr := open(tt.args...); code != exitFailed || stdout != "" || !strings.Contains(stderr, tt.want) {
			t.Errorf("%s: code %d, printed %q and %q", name, code, stdout, stderr)
		}
	}
}

// TestOpenNeedsKey: a server of this process would have no sandbox to show.
func TestOpenNeedsKey(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &out, err: &errs, getenv: func(string) string { return "" }}
	if code := a.main([]string{"open", "box", "8080"}); code != exitFailed || !strings.Contains(errs.String(), "LANGSMITH_API_KEY") {
		t.Errorf("code %d, printed %q", code, errs.String())
	}
}

// TestBrowserCommand: which program opens an address.
func TestBrowserCommand(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		system, chosen string
		want           []string
	}{
		{"linux", "", []string{"xdg-open"}},
		{"darwin", "", []string{"open"}},
		{"windows", "", []string{"rundll32", "url.dll,FileProtocolHandler"}},
		{"linux", "firefox", []string{"firefox"}},
		{"linux", "firefox" + string(os.PathListSeparator) + "lynx", []string{"firefox"}},
	} {
		if got := browserCommand(tt.system, tt.chosen); !slices.Equal(got, tt.want) {
			t.Errorf("%s with %q: %v, want %v", tt.system, tt.chosen, got, tt.want)
		}
	}
}
