// Command buildlog builds a source tree in a sandbox and shows the log as it
// comes, line by line and with the time that has passed. With a directory that
// has a Dockerfile it makes a snapshot of it instead, for which the sandboxes
// of the server must have BuildKit.
package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

//go:embed all:source
var source embed.FS

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "buildlog:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c, err := sandboxclient.New()
	if err != nil {
		return err
	}
	defer c.Close()
	log := &stamped{begun: time.Now()}
	defer log.end()
	if len(args) == 1 {
		snapshot, err := c.Snapshots.Build(ctx, args[0],
			&sandboxclient.CaptureSnapshot{Name: "example-build", FSCapacityBytes: 8 << 30}, &sandboxclient.BuildOptions{Log: log})
		if err != nil {
			return err
		}
		fmt.Println("built the snapshot", snapshot.ID)
		return nil
	}
	tree, err := fs.Sub(source, "source")
	if err != nil {
		return err
	}
	return c.Use(ctx, nil, func(ctx context.Context, sb *sandboxclient.Sandbox) error {
		if err := sb.CopyFS(ctx, "source", tree, nil); err != nil {
			return err
		}
		build := sb.Command("sh", "build.sh")
		build.Dir, build.Stdout, build.Stderr = "source", log, log
		err := build.Run(ctx)
		log.end()
		if exit, ok := errors.AsType[*sandboxclient.ExitError](err); ok {
			return fmt.Errorf("the build failed with exit code %d", exit.Code)
		}
		return err
	})
}

// stamped prints each line with the time since the beginning.
type stamped struct {
	begun time.Time
	line  bytes.Buffer
}

func (s *stamped) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		s.line.Write(line)
		if whole {
			s.end()
		}
		rest = after
	}
	return len(p), nil
}

// end prints what stands on the last line.
func (s *stamped) end() {
	if s.line.Len() > 0 {
		fmt.Printf("%6.1fs  %s\n", time.Since(s.begun).Seconds(), s.line.Bytes())
		s.line.Reset()
	}
}
