// Command quickstart runs one command in a sandbox that is deleted afterwards.
// It talks to LANGSMITH_ENDPOINT with LANGSMITH_API_KEY; `sandbox serve` prints
// both for a server on this machine.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
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
		res, err := sb.Execute(ctx, "uname -sr; id -u", nil)
		if err != nil {
			return err
		}
		fmt.Print(res.Stdout)
		return res.Err()
	})
}
