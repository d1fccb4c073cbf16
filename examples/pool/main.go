// Command pool keeps sandboxes of a template ready, so that one is there at
// once, and takes everything away again.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "pool:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c, err := sandboxclient.New()
	if err != nil {
		return err
	}
	defer c.Close()
	const template, pool = "example-python", "example-warm"
	_, err = c.Templates.Create(ctx, &sandboxclient.CreateTemplate{Name: template, Image: "python:3.12-slim"})
	if err != nil {
		return err
	}
	cleanup := context.WithoutCancel(ctx)
	defer func() { err = errors.Join(err, c.Templates.Delete(cleanup, template)) }()
	_, err = c.Pools.Create(ctx, &sandboxclient.CreatePool{Name: pool, TemplateName: template, Replicas: 2})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Pools.Delete(cleanup, pool)) }()

	start := time.Now()
	return c.Use(ctx, &sandboxclient.CreateSandbox{TemplateName: template}, func(_ context.Context, sb *sandboxclient.Sandbox) error {
		fmt.Printf("%s was ready after %s\n", sb.Name(), time.Since(start).Round(time.Millisecond))
		return nil
	})
}
