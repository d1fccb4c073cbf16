package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// transfers are the files that go in before a run, and come out afterwards.
type transfers struct{ up, down []transfer }

type transfer struct{ local, remote string }

func parseTransfers(up, down []string) (t transfers, err error) {
	for _, arg := range up {
		at := strings.LastIndexByte(arg, ':') // local paths of Windows have one, too
		if at < 1 || at == len(arg)-1 {
			return t, fmt.Errorf("--upload %q: want LOCAL:REMOTE", arg)
		}
		if _, err := os.Stat(arg[:at]); err != nil {
			return t, fmt.Errorf("--upload: %w", err)
		}
		t.up = append(t.up, transfer{arg[:at], arg[at+1:]})
	}
	for _, arg := range down {
		remote, local, ok := strings.Cut(arg, ":")
		if !ok || remote == "" || local == "" {
			return t, fmt.Errorf("--download %q: want REMOTE:LOCAL", arg)
		}
		t.down = append(t.down, transfer{local, remote})
	}
	return t, nil
}

func (t transfers) in(ctx context.Context, a *app, sb *sandboxclient.Sandbox) error {
	for _, one := range t.up {
		source, err := os.Stat(one.local)
		if err != nil {
			return err
		}
		c := &copying{app: a, sb: sb, bar: a.newBar(false)}
		err = c.in(ctx, source, one.local, one.remote)
		c.bar.clear()
		if err != nil {
			return err
		}
	}
	return nil
}

func (t transfers) out(ctx context.Context, a *app, sb *sandboxclient.Sandbox) error {
	for _, one := range t.down {
		c := &copying{app: a, sb: sb, bar: a.newBar(false)}
		err := c.out(ctx, one.remote, one.local)
		c.bar.clear()
		if err != nil {
			return err
		}
	}
	return nil
}
