package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

// localServer is a server that listens on this machine.
type localServer struct {
	*sandboxserver.Server
	http *http.Server
	addr net.Addr
	done chan error
}

// listen starts a server and returns when it accepts connections.
func listen(ctx context.Context, addr string, cfg sandboxserver.Config) (*localServer, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	server, err := sandboxserver.New(cfg) //nolint:contextcheck // its trials have times of their own
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	s := &localServer{
		Server: server,
		http:   &http.Server{Handler: server, ReadHeaderTimeout: 10 * time.Second},
		addr:   l.Addr(),
		done:   make(chan error, 1),
	}
	go func() { s.done <- s.http.Serve(l) }()
	return s, nil
}

// shutdownGrace is what requests in flight have to end.
const shutdownGrace = 5 * time.Second

// shutdown ends requests, sandboxes and the listener, in that order of
// politeness, also when ctx is over.
func (s *localServer) shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	return errors.Join(err, s.Close())
}

// url is the host to name in LANGSMITH_ENDPOINT.
func (s *localServer) url() string { return "http://" + s.addr.String() }

// urlHere is url for this machine, also for a server that listens everywhere.
func (s *localServer) urlHere() string {
	if tcp, ok := s.addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	return s.url()
}

// noIsolation is what the user is told where there is none.
const noIsolation = "warning: there is no isolation: the command can see and change what you can"

// fencedRoot is what root is told where there is a fence only.
const fencedRoot = "warning: there are no namespaces here: the command can change the modes of root's files; run as another user"

// connectLocal starts a server for this process alone. Where the host allows
// no isolation it says so.
func (a *app) connectLocal(ctx context.Context, cfg sandboxserver.Config) (*sandboxclient.Client, func() error, error) {
	server, err := listen(ctx, "127.0.0.1:0", cfg)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case server.Isolation() == sandboxserver.IsolationProcess:
		a.say(noIsolation)
	case server.Isolation() == sandboxserver.IsolationLandlock && os.Geteuid() == 0:
		a.say(fencedRoot)
	}
	here := served{server.url(), server.APIKey()}
	client, err := sandboxclient.New(append(a.clientOptions(), here.options()...)...)
	if err != nil {
		return nil, nil, errors.Join(err, server.shutdown(ctx))
	}
	return client, func() error { return errors.Join(client.Close(), server.shutdown(ctx)) }, nil
}
