package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestServeTells: a server says how it is, by log, health and metrics, and holds
// to its quotas.
func TestServeTells(t *testing.T) {
	t.Parallel()
	cmd, _ := command(t, "serve", "--min-isolation", "process", "--log", "json", "--metrics-addr", "127.0.0.1:0",
		"--quota-sandboxes", "1", "--quota-memory", "1Gi")
	cmd.Env = append(cmd.Env, "SANDBOX_SERVE_API_KEY=key")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addrs := map[string]string{}
	for lines := bufio.NewScanner(stderr); len(addrs) < 2 && lines.Scan(); {
		var line struct{ Msg, Addr string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		if line.Addr != "" {
			addrs[line.Msg] = line.Addr
		}
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
	ask := func(method, url string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+url, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Api-Key", "key")
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
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
	for _, want := range []struct {
		method, url string
		status      int
	}{
		{"GET", addrs["serving"] + "/healthz", 200},
		{"POST", addrs["serving"] + "/v2/sandboxes/boxes", 201},
		{"POST", addrs["serving"] + "/v2/sandboxes/boxes", 429},
		{"GET", addrs["metrics"] + "/other", 404},
	} {
		if status, body := ask(want.method, want.url); status != want.status {
			t.Errorf("%s %s: status %d, want %d: %s", want.method, want.url, status, want.status, body)
		}
	}
	_, got := ask("GET", addrs["metrics"]+"/metrics")
	for _, want := range []string{
		`sandbox_requests_total{operation="POST /boxes",status="201"} 1` + "\n",
		`sandbox_requests_total{operation="POST /boxes",status="429"} 1` + "\n",
		`sandbox_request_duration_seconds_count{operation="health"} 1` + "\n",
		`sandbox_sandboxes{status="running"} 1` + "\n",
		"process_cpu_seconds_total ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestServeFlags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ flag, value, want string }{
		{"--log", "xml", "want text or json"},
		{"--quota-memory", "much", "must be a number"},
		{"--quota-cpu", "-1", "must not be negative"},
		{"--quota-sandboxes", "-1", "must not be negative"},
		{"--metrics-addr", "nowhere", "listen for metrics on nowhere"},
	} {
		var stderr strings.Builder
		a := &app{out: io.Discard, err: &stderr, getenv: func(string) string { return "" }}
		begun := time.Now()
		if code := a.main([]string{"serve", c.flag, c.value}); code != exitFailed || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%s %s: exit code %d after %s: %s", c.flag, c.value, code, time.Since(begun), stderr.String())
		}
	}
}
