package sandboxclient_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// The directory is sent, BuildKit runs in a sandbox that is deleted afterwards,
// and its log is shown as it comes.
func ExampleSnapshots_Build() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	build := func() error {
		c, err := sandboxclient.New()
		if err != nil {
			return err
		}
		_, err = c.Snapshots.Build(ctx, "./image",
			&sandboxclient.CaptureSnapshot{Name: "team/python", Tag: "3.14", FSCapacityBytes: 8 << 30},
			&sandboxclient.BuildOptions{
				Args:    map[string]string{"PYTHON": "3.14"},
				Log:     os.Stderr,
				Builder: sandboxclient.CreateSandbox{VCPUs: 4},
			})
		if broken, ok := errors.AsType[*sandboxclient.BuildError](err); ok {
			return fmt.Errorf("the Dockerfile is to be corrected: %w", broken)
		}
		return err
	}
	if err := build(); err != nil {
		fmt.Println(err)
	}
}

// What was set up in one sandbox is there at once in those made of its
// snapshot.
func ExampleSandbox_Capture() {
	defer serve()()
	ctx := context.Background()
	prepare := func(c *sandboxclient.Client) (*sandboxclient.Snapshot, error) {
		var snapshot *sandboxclient.Snapshot
		err := c.Use(ctx, nil, func(ctx context.Context, sb *sandboxclient.Sandbox) error {
			err := sb.WriteFile(ctx, "words.txt", []byte("made once\n"))
			if err != nil {
				return err
			}
			snapshot, err = sb.Capture(ctx, &sandboxclient.CaptureSnapshot{Name: "words"}, nil)
			return err
		})
		return snapshot, err
	}
	run := func() error {
		c, err := sandboxclient.New()
		if err != nil {
			return err
		}
		snapshot, err := prepare(c)
		if err != nil {
			return err
		}
		return c.Use(ctx, &sandboxclient.CreateSandbox{SnapshotID: snapshot.ID}, func(ctx context.Context, sb *sandboxclient.Sandbox) error {
			res, err := sb.Run(ctx, "cat words.txt", nil)
			if err == nil {
				fmt.Print(res.Stdout)
			}
			return err
		})
	}
	if err := run(); err != nil {
		fmt.Println(err)
	}
	// Output: made once
}
