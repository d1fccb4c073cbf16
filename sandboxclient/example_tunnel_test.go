package sandboxclient_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// A web server in a sandbox, through the standard library's client.
func ExampleSandbox_DialContext() {
	inSandbox(func(ctx context.Context, sb *sandboxclient.Sandbox) error {
		stop, err := webServer(ctx, sb)
		if err != nil {
			return err
		}
		defer stop()
		transport := &http.Transport{DialContext: sb.DialContext}
		defer transport.CloseIdleConnections()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost:8099/", http.NoBody)
		if err != nil {
			return err
		}
		resp, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		fmt.Print(string(body))
		return err
	})
	// Output: hello from inside
}

// A port of a sandbox on this machine, for programs that are not written in Go.
func ExampleSandbox_Tunnel() {
	inSandbox(func(ctx context.Context, sb *sandboxclient.Sandbox) error {
		stop, err := webServer(ctx, sb)
		if err != nil {
			return err
		}
		defer stop()
		tunnel, err := sb.Tunnel(ctx, 8099, nil)
		if err != nil {
			return err
		}
		defer tunnel.Close()
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", tunnel.Addr().String())
		if err != nil {
			return err
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
		answer, err := io.ReadAll(conn)
		_, body, _ := strings.Cut(string(answer), "\r\n\r\n")
		fmt.Print(body)
		return err
	})
	// Output: hello from inside
}

// webServer starts one in the sandbox, and returns when it listens.
func webServer(ctx context.Context, sb *sandboxclient.Sandbox) (stop func(), err error) {
	cmd := sb.Command("perl", "-e", `use IO::Socket::INET; $| = 1;
		my $l = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 8099, Listen => 5, ReuseAddr => 1) or die;
		print "listening\n";
		while (my $c = $l->accept) {
			while (<$c>) { last if /^\r\n$/ }
			print $c "HTTP/1.0 200 OK\r\n\r\nhello from inside\n";
		}`)
	cmd.Timeout = -1
	listening := make(chan struct{}, 1)
	cmd.Stdout = writerFunc(func(p []byte) (int, error) {
		select {
		case listening <- struct{}{}:
		default:
		}
		return len(p), nil
	})
	process, err := cmd.Start(ctx)
	if err != nil {
		return nil, err
	}
	stop = func() {
		_ = process.Kill(ctx)
		_ = process.Wait()
	}
	select {
	case <-listening:
		return stop, nil
	case <-ctx.Done():
		stop()
		return nil, ctx.Err()
	}
}
