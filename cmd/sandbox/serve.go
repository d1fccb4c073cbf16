package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/internal/quantity"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

// logForms are the values of --log.
var logForms = []string{"text", formJSON}

type serveFlags struct {
	addr         string
	data         string
	minIsolation string
	oci          string
	allowHosts   []string
	hostNetwork  bool
	services     string
	egress       []string
	limits       sandboxserver.Limits
	metrics      string
	log          string
	pullImages   bool
	imageCache   int64
	verbose      bool
}

func (a *app) serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve [flags]",
		Short: "Serve the Sandbox Server API on this machine",
		Long: `Serve the Sandbox Server API on this machine, with real processes, until
interrupted. Once it accepts connections it prints two lines on standard output:

  LANGSMITH_ENDPOINT=http://127.0.0.1:PORT
  LANGSMITH_API_KEY=KEY

The key is in SANDBOX_SERVE_API_KEY, or a new one at each start. Programs find the
server by what it prints; the commands of this program without that, by a file
below $XDG_STATE_HOME or ~/.local/state that only this user can read, and that is
there while it serves. GET /healthz is answered without the key, with 200 while the
server serves.`,
		Example: `  sandbox serve --addr 127.0.0.1:8080 --data ~/.sandboxes`,
		Args:    wantArgs(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.addr, "addr", "127.0.0.1:0", "address to listen on; port 0 is a free one")
	flags.StringVar(&f.data, "data", "", "directory in which everything survives a restart, sandboxes as stopped; holds secrets; none by default")
	flags.StringVar(&f.minIsolation, "min-isolation", string(sandboxserver.IsolationNative), "weakest isolation to accept: see sandbox doctor; process is none")
	flags.StringVar(&f.oci, ociRuntimeFlag, "", ociRuntimeHelp)
	flags.StringArrayVar(&f.allowHosts, "allow-host", nil, "host name that requests may come under, besides this machine's; may be repeated")
	flags.StringVar(&f.services, "service-domain", "", "domain below which shared ports have hosts for browsers; localhost by default, on this machine")
	flags.BoolVar(&f.hostNetwork, "host-network", false, "let sandboxes use the network of this machine")
	flags.StringArrayVar(&f.egress, "egress", nil, `host that sandboxes may reach through the server's proxy: name, *.domain, name:port, address, range, or "*" for all that are public; may be repeated`)
	quotaFlags(flags, &f.limits)
	flags.StringVar(&f.metrics, "metrics-addr", "", "address to serve metrics for Prometheus on, under /metrics and without a key; none by default")
	flags.StringVar(&f.log, "log", "text", "form of the log on standard error: text or json")
	flags.BoolVar(&f.pullImages, "pull-images", false, `start sandboxes from the images of their templates and snapshots, pulled from registries; without, and with the image "host", they have this machine's /usr`)
	flags.Var(amount{&f.imageCache, quantity.ParseBytes}, "image-cache", "how much of unpacked images to keep, such as 50Gi; 20Gi by default")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "log every request")
	completeFlag(cmd, "data", localDirectories)
	completeFlag(cmd, "min-isolation", oneOf(isolations()...))
	completeFlag(cmd, "log", oneOf(logForms...))
	return cmd
}

func (a *app) serve(ctx context.Context, f serveFlags) (err error) {
	log, err := a.logger(f)
	if err != nil {
		return err
	}
	cfg := sandboxserver.Config{
		APIKey:       strings.TrimSpace(a.getenv("SANDBOX_SERVE_API_KEY")),
		Dir:          f.data,
		MinIsolation: sandboxserver.Isolation(f.minIsolation),
		OCIRuntime:   f.oci,
		AllowedHosts: f.allowHosts,
		HostNetwork:  f.hostNetwork,
		Egress:       sandboxserver.Egress{Allow: f.egress},
		Limits:       f.limits,
		Logger:       log,

		ServiceDomain: f.services,

		PullImages: f.pullImages, ImageCacheBytes: f.imageCache,
	}
	m, err := openMetrics(ctx, f.metrics)
	if err != nil {
		return err
	}
	if m != nil {
		defer func() { err = errors.Join(err, m.close()) }()
		cfg.Observe = m.observe
	}
	server, err := listen(ctx, f.addr, cfg)
	if err != nil {
		return err
	}
	if m != nil {
		m.follow(server.Usage)
		log.InfoContext(ctx, "metrics", "addr", m.addr.String())
	}
	withdraw, err := a.announce(served{server.urlHere(), server.APIKey()})
	if err != nil {
		log.WarnContext(ctx, "--local does not find this server", "error", err)
		withdraw = func() {}
	}
	err = a.serveUntil(ctx, server, log)
	withdraw()
	return errors.Join(err, server.shutdown(ctx))
}

// logger is the server's log, on standard error.
func (a *app) logger(f serveFlags) (*slog.Logger, error) {
	opts := &slog.HandlerOptions{Level: slog.LevelInfo}
	if f.verbose {
		opts.Level = slog.LevelDebug
	}
	if err := checkWord("log", f.log, logForms); err != nil {
		return nil, err
	}
	if f.log == formJSON {
		return slog.New(slog.NewJSONHandler(a.err, opts)), nil
	}
	return slog.New(slog.NewTextHandler(a.err, opts)), nil
}

// serveUntil says where a server is, and returns when it fails or is to end.
func (a *app) serveUntil(ctx context.Context, server *localServer, log *slog.Logger) error {
	if tcp, ok := server.addr.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		log.WarnContext(ctx, "other machines can reach this server, and its key travels unencrypted", "addr", server.addr.String())
	}
	log.InfoContext(ctx, "serving", "addr", server.addr.String(), "isolation", string(server.IsolationStep()))
	_, err := fmt.Fprintf(a.out, "LANGSMITH_ENDPOINT=%s\nLANGSMITH_API_KEY=%s\n", server.url(), server.APIKey())
	if err != nil {
		return err
	}
	select {
	case err = <-server.done:
	case <-ctx.Done():
		log.InfoContext(ctx, "shutting down", "cause", context.Cause(ctx).Error())
	}
	return err
}
