// Command fork sets a sandbox up once, takes a snapshot of it, and goes on from
// there in several sandboxes at once, none of which sees the others.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// ideas are what each fork tries.
var ideas = []string{"sort fruits", "sort -r fruits", "sort fruits | head -1"}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "fork:", err)
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
	snapshot, err := prepare(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Snapshots.Delete(context.WithoutCancel(ctx), snapshot.ID)) }()

	outputs := make([]string, len(ideas))
	failures := make([]error, len(ideas))
	var forks sync.WaitGroup
	for i, idea := range ideas {
		forks.Go(func() { outputs[i], failures[i] = try(ctx, c, snapshot.ID, idea) })
	}
	forks.Wait()
	for i, idea := range ideas {
		fmt.Printf("%s:\n%s", idea, outputs[i])
	}
	return errors.Join(failures...)
}

// prepare is the work that is done once.
func prepare(ctx context.Context, c *sandboxclient.Client) (snapshot *sandboxclient.Snapshot, err error) {
	err = c.Use(ctx, nil, func(ctx context.Context, sb *sandboxclient.Sandbox) error {
		if err := sb.WriteFile(ctx, "fruits", []byte("pear\napple\nfig\n")); err != nil {
			return err
		}
		snapshot, err = sb.Capture(ctx, &sandboxclient.CaptureSnapshot{Name: "example-fork"}, nil)
		return err
	})
	return snapshot, err
}

func try(ctx context.Context, c *sandboxclient.Client, snapshotID, script string) (output string, err error) {
	err = c.Use(ctx, &sandboxclient.CreateSandbox{SnapshotID: snapshotID}, func(ctx context.Context, sb *sandboxclient.Sandbox) error {
		res, err := sb.Run(ctx, script, nil)
		if err != nil {
			return err
		}
		output = res.Stdout
		return res.Err()
	})
	return output, err
}
