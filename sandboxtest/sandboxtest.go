// Package sandboxtest runs the sandbox API inside a test: [New] starts a
// server in this process and returns a client of it, and everything is gone
// when the test ends. [Record] tapes a session with any server, and [Replay]
// runs a test on the tape, without one.
package sandboxtest

import (
	"net/http/httptest"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

// Server is a sandbox server that lives as long as a test. It is safe for
// concurrent use.
type Server struct {
	*sandboxserver.Server

	// Endpoint is the base URL for clients, on a loopback address. The key is
	// [sandboxserver.Server.APIKey].
	Endpoint string
}

// Option changes what New starts.
type Option func(*settings)

type settings struct {
	server sandboxserver.Config
	client []sandboxclient.Option
}

// WithConfig changes the server's configuration before it starts: quotas, a
// data directory, a logger. It may be given more than once.
func WithConfig(change func(*sandboxserver.Config)) Option {
	return func(s *settings) { change(&s.server) }
}

// WithClient adds options to the client, after those that lead it to the
// server.
func WithClient(opts ...sandboxclient.Option) Option {
	return func(s *settings) { s.client = append(s.client, opts...) }
}

// New starts a server with a key of its own and returns a client of it. Both
// are closed, and all sandboxes with their processes and files are gone, when
// the test and its subtests have ended. The environment has no influence.
//
// Sandboxes are isolated as far as the host allows: where it refuses
// namespaces, by [sandboxserver.IsolationLandlock]. Where there is no
// isolation at all (see [sandboxserver.IsolationProcess]), New says so in the
// test's log; a test that must not run like that sets MinIsolation through
// [WithConfig]. New
// fails the test if the server does not start, and later if it does not end.
func New(tb testing.TB, opts ...Option) (*sandboxclient.Client, *Server) {
	tb.Helper()
	s := settings{server: sandboxserver.Config{MinIsolation: sandboxserver.IsolationProcess}}
	for _, opt := range opts {
		opt(&s)
	}
	server := start(tb, s.server)
	client, err := sandboxclient.New(append([]sandboxclient.Option{
		sandboxclient.WithEnvironment(func(string) string { return "" }),
		sandboxclient.WithEndpoint(server.Endpoint),
		sandboxclient.WithAPIKey(server.APIKey()),
	}, s.client...)...)
	if err != nil {
		tb.Fatalf("sandboxtest: client: %v", err)
	}
	tb.Cleanup(func() {
		if err := client.Close(); err != nil {
			tb.Errorf("sandboxtest: close client: %v", err)
		}
	})
	return client, server
}

func start(tb testing.TB, cfg sandboxserver.Config) *Server {
	tb.Helper()
	server, err := sandboxserver.New(cfg)
	if err != nil {
		tb.Fatalf("sandboxtest: server: %v", err)
	}
	web := httptest.NewServer(server)
	tb.Cleanup(func() {
		// In this order: requests on their way end, then connections.
		if err := server.Close(); err != nil {
			tb.Errorf("sandboxtest: %v", err)
		}
		web.Close()
	})
	if server.Isolation() == sandboxserver.IsolationProcess {
		tb.Log("sandboxtest: this host refuses namespaces and Landlock: commands run without isolation")
	}
	return &Server{Server: server, Endpoint: web.URL + "/v2/sandboxes"}
}
