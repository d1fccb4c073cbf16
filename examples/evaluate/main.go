// Command evaluate runs many programs at once, each in a sandbox of its own,
// and says which of them are right. A program that fails, hangs or is wrong
// harms none of the others.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// candidates are what a model might have answered to "print the sum of the
// numbers on standard input".
var candidates = []struct{ name, script string }{
	{"bc", `echo $(( $(tr '\n' + ) 0 ))`},
	{"loop", `s=0; while read -r n; do s=$((s+n)); done; echo $s`},
	{"hangs", `sleep 600`},
	{"fails", `exit 3`},
	{"wrong", `wc -l`},
}

const (
	input    = "1\n2\n39\n"
	want     = "42"
	patience = 2 * time.Second
	atOnce   = 4
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "evaluate:", err)
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
	verdicts := make([]string, len(candidates))
	failures := make([]error, len(candidates))
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, candidate := range candidates {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			verdicts[i], failures[i] = judge(ctx, c, candidate.script)
		})
	}
	all.Wait()
	for i, candidate := range candidates {
		fmt.Printf("%-8s%s\n", candidate.name, verdicts[i])
	}
	return errors.Join(failures...)
}

// judge says what became of a program. An error is trouble with the sandbox.
func judge(ctx context.Context, c *sandboxclient.Client, script string) (verdict string, err error) {
	err = c.Use(ctx, nil, func(ctx context.Context, sb *sandboxclient.Sandbox) error {
		res, err := sb.Run(ctx, script, &sandboxclient.RunOptions{Stdin: strings.NewReader(input), Timeout: patience})
		switch {
		case errors.Is(err, sandboxclient.ErrCommandTimeout):
			verdict = "took too long"
		case err != nil:
			return err
		case res.ExitCode != 0:
			verdict = fmt.Sprintf("failed with exit code %d", res.ExitCode)
		case strings.TrimSpace(res.Stdout) != want:
			verdict = "wrong: " + strings.TrimSpace(res.Stdout)
		default:
			verdict = "right"
		}
		return nil
	})
	return verdict, err
}
