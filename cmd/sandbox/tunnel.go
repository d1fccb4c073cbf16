package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

func (a *app) tunnelCommand() *cobra.Command {
	var bind string
	cmd := &cobra.Command{
		Use:   "tunnel [flags] NAME PORT[:LOCAL]...",
		Short: "Reach ports of a sandbox on this machine",
		Long: `Listen on this machine and connect whatever connects there to ports of a
sandbox, until interrupted. LOCAL is the port to listen on, the same as PORT if
it is left out and a free one if it is 0. Once it listens it prints a line for
each port, the local address first:

  127.0.0.1:5432 -> my-sandbox:5432

The sandbox is one of those that LANGSMITH_ENDPOINT and LANGSMITH_API_KEY lead
to; see also "sandbox serve".`,
		Example: `  sandbox tunnel my-sandbox 5432
  sandbox tunnel my-sandbox 8080:0 5432:15432`,
		Args:              wantArgs(2, -1),
		ValidArgsFunction: completeNames(a, sandboxes, 1),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.tunnel(cmd.Context(), bind, args[0], args[1:]) },
	}
	cmd.Flags().StringVar(&bind, "bind", "127.0.0.1", "address to listen on; any other machine that reaches it can use the tunnel")
	return cmd
}

// forward is a port of a sandbox and one of this machine.
type forward struct{ remote, local int }

func parseForward(arg string) (forward, error) {
	remote, local, given := strings.Cut(arg, ":")
	if !given {
		local = remote
	}
	r, err1 := strconv.ParseUint(remote, 10, 16)
	l, err2 := strconv.ParseUint(local, 10, 16)
	if err1 != nil || err2 != nil || r == 0 {
		return forward{}, fmt.Errorf("port %q: want PORT or PORT:LOCAL, from 1 to 65535", arg)
	}
	return forward{int(r), int(l)}, nil
}

func (a *app) tunnel(ctx context.Context, bind, name string, args []string) (err error) {
	forwards := make([]forward, len(args))
	for i, arg := range args {
		if forwards[i], err = parseForward(arg); err != nil {
			return err
		}
	}
	client, err := a.connectRemote()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	sb, err := client.Get(ctx, name)
	if err != nil {
		return err
	}
	ended := make(chan error, len(forwards))
	for _, f := range forwards {
		tunnel, err := sb.Tunnel(ctx, f.remote, &sandboxclient.TunnelOptions{
			LocalAddr: net.JoinHostPort(bind, strconv.Itoa(f.local)),
			OnError:   func(err error) { a.say(err) },
		})
		if err != nil {
			return err
		}
		defer tunnel.Close()
		if _, err := fmt.Fprintf(a.out, "%s -> %s:%d\n", tunnel.Addr(), name, f.remote); err != nil {
			return err
		}
		go func() {
			<-tunnel.Done()
			ended <- tunnel.Err()
		}()
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil
	}
}
