// Command webservice starts a web server inside a sandbox and talks to it twice:
// through a tunnel to a local port, as any program on this machine could, and
// by dialling from an http.Client.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

const port = 38080

func main() {
	program := run
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		program = serve // this is the copy inside the sandbox
	}
	if err := program(); err != nil {
		fmt.Fprintln(os.Stderr, "webservice:", err)
		os.Exit(1)
	}
}

// serve is the service: it runs in the sandbox.
func serve() error {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello from the sandbox") })
	server := &http.Server{Addr: fmt.Sprintf("127.0.0.1:%d", port), ReadHeaderTimeout: time.Second}
	return server.ListenAndServe()
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c, err := sandboxclient.New()
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Use(ctx, nil, func(ctx context.Context, sb *sandboxclient.Sandbox) error {
		if err := upload(ctx, sb); err != nil {
			return err
		}
		service, err := sb.Command("./service", "serve").Start(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = service.Kill(ctx) }()
		if err := byTunnel(ctx, sb); err != nil {
			return err
		}
		inside := &http.Client{Transport: &http.Transport{DialContext: sb.DialContext}}
		defer inside.CloseIdleConnections()
		return get(ctx, inside, "dialled", fmt.Sprintf("http://127.0.0.1:%d/", port))
	})
}

// upload puts this program into the sandbox.
func upload(ctx context.Context, sb *sandboxclient.Sandbox) error {
	name, err := os.Executable()
	if err != nil {
		return err
	}
	file, err := os.Open(name) //nolint:gosec // this very program
	if err != nil {
		return err
	}
	defer file.Close()
	if err := sb.Upload(ctx, "service", file); err != nil {
		return err
	}
	res, err := sb.Run(ctx, "chmod +x service", nil)
	if err != nil {
		return err
	}
	return res.Err()
}

func byTunnel(ctx context.Context, sb *sandboxclient.Sandbox) error {
	tunnel, err := sb.Tunnel(ctx, port, nil)
	if err != nil {
		return err
	}
	defer tunnel.Close()
	return get(ctx, http.DefaultClient, "tunnelled", "http://"+tunnel.Addr().String())
}

// get prints a page, as soon as the service listens.
func get(ctx context.Context, c *http.Client, way, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := c.Do(req)
		if err == nil {
			page, err := io.ReadAll(resp.Body)
			fmt.Printf("%s: %s", way, page)
			return errors.Join(err, resp.Body.Close())
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}
