package contract_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

// localServer is a server on loopback and a client whose every exchange with it
// is held to the contract.
type localServer struct {
	c   *sandboxclient.Client
	chk *checker

	server *sandboxserver.Server
}

func startServer(t *testing.T, prefix string, cfg sandboxserver.Config) *localServer {
	t.Helper()
	cfg.MinIsolation = sandboxserver.IsolationProcess
	server, err := sandboxserver.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	t.Cleanup(func() {
		listener.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	chk := newChecker(t, prefix, listener.Client().Transport)
	c, err := sandboxclient.New(
		sandboxclient.WithEnvironment(func(string) string { return "" }),
		sandboxclient.WithEndpoint(listener.URL+prefix),
		sandboxclient.WithAPIKey(server.APIKey()),
		sandboxclient.WithHTTPClient(&http.Client{Transport: chk}),
		sandboxclient.WithRetry(sandboxclient.RetryPolicy{}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return &localServer{c: c, chk: chk, server: server}
}

func ok[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// is fails unless err matches want, for any kind of result.
func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want one matching %v", err, want)
	}
}

func collect[T any](t *testing.T, list func(func(T, error) bool)) []T {
	t.Helper()
	var all []T
	for item, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, item)
	}
	return all
}
