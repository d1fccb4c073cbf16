// Package grade marks programs that somebody handed in. Its test shows how to
// test code that needs sandboxes: offline, with sandboxtest.
package grade

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// Case is an input of a program and the output that is right.
type Case struct{ Input, Want string }

// Result is how many cases a program got right, and why not the others.
type Result struct {
	Right  int
	Faults []string
}

// Grade runs a shell script on every case, in a sandbox that is deleted
// afterwards, and gives it limit for each. An error is trouble with the
// sandbox, never with the script.
func Grade(ctx context.Context, c *sandboxclient.Client, script string, cases []Case, limit time.Duration) (r Result, err error) {
	err = c.Use(ctx, nil, func(ctx context.Context, sb *sandboxclient.Sandbox) error {
		for _, k := range cases {
			fault, err := try(ctx, sb, script, k, limit)
			if err != nil {
				return err
			}
			if fault == "" {
				r.Right++
				continue
			}
			r.Faults = append(r.Faults, fault)
		}
		return nil
	})
	return r, err
}

func try(ctx context.Context, sb *sandboxclient.Sandbox, script string, k Case, limit time.Duration) (fault string, err error) {
	res, err := sb.Run(ctx, script, &sandboxclient.RunOptions{Stdin: strings.NewReader(k.Input), Timeout: limit})
	switch {
	case errors.Is(err, sandboxclient.ErrCommandTimeout):
		fault = "too slow"
	case err != nil:
		return "", err
	case res.Err() != nil:
		fault = res.Err().Error()
	case res.Stdout != k.Want:
		fault = "wrong answer"
	}
	return fault, nil
}
