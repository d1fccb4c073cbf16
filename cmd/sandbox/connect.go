package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

// surroundings are where the sandboxes are: the environment of the program,
// less what flags and the server of this machine replace.
type surroundings struct {
	endpoint string // of --endpoint
	local    bool   // of --local
}

// environment is that of the process, but for what flags replace.
func (a *app) environment(key string) string {
	if key == "LANGSMITH_ENDPOINT" && a.where.endpoint != "" {
		return a.where.endpoint
	}
	return a.getenv(key)
}

func (a *app) apiKey() string {
	return cmp.Or(strings.TrimSpace(a.getenv("LANGSMITH_API_KEY")), strings.TrimSpace(a.getenv("LANGCHAIN_API_KEY")))
}

// namedEndpoint is the endpoint that flags or the environment name.
func (a *app) namedEndpoint() string {
	return cmp.Or(strings.TrimSpace(a.environment("LANGSMITH_ENDPOINT")), strings.TrimSpace(a.getenv("LANGCHAIN_ENDPOINT")))
}

// onThisMachine reports whether sandboxes are to be on this machine. An
// endpoint without a key is a mistake: what was meant for elsewhere is not run
// here.
func (a *app) onThisMachine() (bool, error) {
	if a.where.local || a.apiKey() != "" {
		return a.where.local, nil
	}
	if endpoint := a.namedEndpoint(); endpoint != "" {
		return false, fmt.Errorf("there is no API key for %s: set LANGSMITH_API_KEY, or use --local for this machine", endpoint)
	}
	return true, nil
}

// connectRemote returns a client of LangSmith, of whoever is in
// LANGSMITH_ENDPOINT, or of the server that sandbox serve runs on this machine:
// sandboxes outlive a command there.
func (a *app) connectRemote() (*sandboxclient.Client, error) {
	here, err := a.onThisMachine()
	if err != nil {
		return nil, err
	}
	if !here {
		return sandboxclient.New(append(a.clientOptions(), sandboxclient.WithEnvironment(a.environment))...)
	}
	s, err := a.servedHere(a.where.endpoint)
	switch {
	case errors.Is(err, errNotServed) && !a.where.local:
		return nil, errors.New("there is no API key, and no server on this machine: set LANGSMITH_API_KEY, or start one with sandbox serve")
	case err != nil:
		return nil, err
	}
	return sandboxclient.New(append(a.clientOptions(), s.options()...)...)
}

// connect returns a client for a single run: of LangSmith where there is a key,
// else of a server in this process, which stop ends, unless one is needed that
// stays.
func (a *app) connect(ctx context.Context, f runFlags) (client *sandboxclient.Client, stop func() error, err error) {
	here, err := a.onThisMachine()
	if err != nil {
		return nil, nil, err
	}
	if here && !f.needsServer() && a.where.endpoint == "" {
		return a.connectLocal(ctx, sandboxserver.Config{MinIsolation: sandboxserver.Isolation(f.minIsolation), PullImages: f.image != ""})
	}
	client, err = a.connectRemote()
	if err != nil && here && f.needsServer() {
		err = fmt.Errorf("%w\n--keep, --template and --snapshot need a server that stays", err)
	}
	if err != nil {
		return nil, nil, err
	}
	return client, client.Close, nil
}

// needsServer reports whether the run needs what a server of its own has not:
// life after it, or what others have made before.
func (f *runFlags) needsServer() bool { return f.keep || f.template+f.snapshot != "" }

// clientOptions are those of all clients of this program.
func (a *app) clientOptions() []sandboxclient.Option {
	return []sandboxclient.Option{
		sandboxclient.WithUserAgent("sandbox-cli", ""),
		sandboxclient.WithLogger(slog.New(warnings{a})),
	}
}
