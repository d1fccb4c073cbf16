// Command files sends a file into a sandbox, works on it there, and fetches
// the result, without holding either in memory.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "files:", err)
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
		words := strings.NewReader("pear\napple\nfig\n")
		if err := sb.Upload(ctx, "/app/words.txt", words); err != nil {
			return err
		}
		res, err := sb.Execute(ctx, "sort words.txt > sorted.txt", &sandboxclient.ExecuteOptions{Dir: "/app"})
		if err != nil {
			return err
		}
		if err := res.Err(); err != nil {
			return err
		}
		sorted, err := sb.Download(ctx, "/app/sorted.txt", nil)
		if err != nil {
			return err
		}
		defer sorted.Close()
		_, err = io.Copy(os.Stdout, sorted)
		return err
	})
}
