package main

import (
	"bufio"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
	"github.com/langsandbox/sandbox-go/sandboxtest"
)

func TestTunnel(t *testing.T) {
	t.Parallel()
	c, server := sandboxtest.New(t, sandboxtest.WithConfig(func(cfg *sandboxserver.Config) { cfg.Isolation = sandboxserver.IsolationProcess }))
	sb, err := c.Create(t.Context(), &sandboxclient.CreateSandbox{Name: "box"})
	if err != nil {
		t.Fatal(err)
	}
	if err := sb.WaitReady(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	// In this mode what listens here listens in the sandbox.
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())

	cmd, _ := command(t, "tunnel", "box", port+":0", "1:0")
	cmd.Env = append(cmd.Env, "LANGSMITH_ENDPOINT="+strings.TrimSuffix(server.Endpoint, "/v2/sandboxes"), "LANGSMITH_API_KEY="+server.APIKey())
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	var locals []string
	for _, remote := range []string{port, "1"} {
		if !lines.Scan() {
			said, _ := io.ReadAll(stderr)
			t.Fatalf("no line for port %s: %s", remote, said)
		}
		local, to, _ := strings.Cut(lines.Text(), " -> ")
		if host, _, _ := net.SplitHostPort(local); host != "127.0.0.1" || to != "box:"+remote {
			t.Errorf("line %q", lines.Text())
		}
		locals = append(locals, local)
	}
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", locals[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "hello")
	if got := make([]byte, 5); true {
		if _, err := io.ReadFull(conn, got); string(got) != "hello" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	refused, err := new(net.Dialer).DialContext(t.Context(), "tcp", locals[1])
	if err != nil {
		t.Fatal(err)
	}
	defer refused.Close()
	io.ReadAll(refused)
	if said, err := bufio.NewReader(stderr).ReadString('\n'); !strings.Contains(said, "port 1: dial failed") {
		t.Errorf("said %q, %v", said, err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestTunnelArguments(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]forward{
		"5432": {5432, 5432}, "80:8080": {80, 8080}, "80:0": {80, 0},
		"": {}, "0": {}, "65536": {}, "80:": {}, "80:x": {}, ":80": {}, "-1": {}, "80:1:2": {},
	} {
		got, err := parseForward(arg)
		if got != want || (err == nil) != (want.remote != 0) {
			t.Errorf("%q: %v, %v", arg, got, err)
		}
	}
}
