package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// accesses are the values of --access.
var accesses = []string{"restricted", "workspace", "off"}

type openFlags struct {
	access  string
	expires time.Duration
	embed   []string
	browser bool
}

func (a *app) openCommand() *cobra.Command {
	var f openFlags
	cmd := &cobra.Command{
		Use:   "open [flags] NAME PORT",
		Short: "Open an HTTP service of a sandbox in a browser",
		Long: `Share a port of a sandbox and print the address for a browser on standard
output. Who has that address is let in until it expires, but where people log
in (--access).

A terminal on a desktop also opens the address, in the program that BROWSER
names or the usual one; --browser opens it from anywhere, --browser=false
nowhere.

The sandbox is one of LangSmith, or of the server in LANGSMITH_ENDPOINT.`,
		Example: `  sandbox open my-sandbox 8080
  sandbox open --expires 8h --browser=false my-sandbox 3000
  sandbox open --access workspace my-sandbox 3000
  curl -L -c jar "$(sandbox open my-sandbox 8080)"`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("want a sandbox and a port: try sandbox open my-sandbox 8080")
			}
			return nil
		},
		ValidArgsFunction: completeNames(a, sandboxes, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			port, err := strconv.Atoi(args[1])
			if err != nil {
				return fmt.Errorf("port %q: want a number from 1 to 65535", args[1])
			}
			if cmd.Flags().Changed("access") {
				if err := checkWord("access", f.access, accesses); err != nil {
					return err
				}
			}
			wanted := f.browser
			if !cmd.Flags().Changed("browser") {
				wanted = a.onDesktop()
			}
			return a.open(cmd.Context(), f, args[0], port, wanted)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.access, "access", "", "let people in who log in: restricted, workspace, or off to take that back and share by token")
	flags.DurationVar(&f.expires, "expires", 0, "how long the address lets in, up to 24h; 10m by default")
	flags.StringArrayVar(&f.embed, "embed", nil, "origin of a page that may show the service in a frame; may be repeated")
	flags.BoolVar(&f.browser, "browser", false, "open the address; by default on a terminal on a desktop only")
	completeFlag(cmd, "access", oneOf(accesses...))
	return cmd
}

// open shares a port and shows where it is.
func (a *app) open(ctx context.Context, f openFlags, name string, port int, browser bool) (err error) {
	client, err := a.connectRemote()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	service := client.FromInfo(sandboxclient.Info{Name: name}).Service(port, &sandboxclient.ServiceOptions{
		Access: sandboxclient.ServiceAccess(f.access), ExpiresIn: f.expires, EmbedOrigins: f.embed,
	})
	shared := a.spin("sharing port " + strconv.Itoa(port) + " of " + name)
	address, err := service.BrowserURL(ctx)
	shared()
	if errors.Is(err, sandboxclient.ErrConflict) {
		return fmt.Errorf("%w\nwho logs in is let in to that port: sandbox open --access restricted shows where, --access off takes it back", err)
	}
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(a.out, address); err != nil {
		return err
	}
	if browser {
		return a.browse(ctx, address.String())
	}
	return nil
}

// onDesktop reports whether a person at a desktop reads the output.
func (a *app) onDesktop() bool {
	if !isTerminal(a.out) {
		return false
	}
	switch runtime.GOOS {
	case "darwin", "windows":
		return a.getenv("SSH_CONNECTION") == ""
	default:
		return a.getenv("DISPLAY") != "" || a.getenv("WAYLAND_DISPLAY") != "" || a.getenv("BROWSER") != ""
	}
}

// browse has the address opened by the program that is there for it, which
// goes on by itself.
func (a *app) browse(ctx context.Context, address string) error {
	words := browserCommand(runtime.GOOS, a.getenv("BROWSER"))
	program := exec.CommandContext(context.WithoutCancel(ctx), words[0], append(words[1:], address)...) //nolint:gosec // the user's choice
	if err := program.Start(); err != nil {
		return fmt.Errorf("open a browser: %w\nopen the address yourself, or name a program in BROWSER", err)
	}
	return program.Process.Release()
}

// browserCommand is what opens an address on an operating system. chosen is a
// list of programs, the first of which is taken.
func browserCommand(system, chosen string) []string {
	if first, _, _ := strings.Cut(chosen, string(os.PathListSeparator)); first != "" {
		return []string{first}
	}
	switch system {
	case "darwin":
		return []string{"open"}
	case "windows":
		return []string{"rundll32", "url.dll,FileProtocolHandler"}
	default:
		return []string{"xdg-open"}
	}
}
