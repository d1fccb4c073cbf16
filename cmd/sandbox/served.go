package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// served is a server that sandbox serve runs on this machine for this user. It
// is in a file that only its owner can read, and that is locked while the
// server lives.
type served struct {
	Endpoint string `json:"endpoint"`
	Key      string `json:"api_key"`
}

// options are those of a client of the server.
func (s *served) options() []sandboxclient.Option {
	return []sandboxclient.Option{sandboxclient.WithEndpoint(s.Endpoint + "/v2/sandboxes"), sandboxclient.WithAPIKey(s.Key)}
}

// errNotServed is that there is no server to be found.
var errNotServed = errors.New("there is no server on this machine: start one with sandbox serve")

// maxServed bounds a file that is read.
const maxServed = 64 << 10

// announce leaves word of a server for --local, until withdraw is called.
func (a *app) announce(s served) (withdraw func(), err error) {
	dir, err := a.stateDir("servers")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	data, err := json.Marshal(s) //nolint:gosec // for the owner of the file
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, ".new-") // is its owner's alone
	if err != nil {
		return nil, err
	}
	name := filepath.Join(dir, rand.Text()+".json")
	_, err = f.Write(data)
	if err == nil {
		err = lockFile(f)
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return func() {
		_ = os.Remove(name)
		_ = f.Close() // and with it goes the lock
	}, nil
}

// servedHere finds the server of this machine: the one at the endpoint, if one
// is given, else the only one.
func (a *app) servedHere(endpoint string) (*served, error) {
	dir, err := a.stateDir("servers")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotServed, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("look for servers on this machine: %w", err)
	}
	var found []*served
	var endpoints []string
	for _, e := range entries {
		if s := readServed(filepath.Join(dir, e.Name())); s != nil && (endpoint == "" || s.Endpoint == strings.TrimRight(endpoint, "/")) {
			found, endpoints = append(found, s), append(endpoints, s.Endpoint)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, fmt.Errorf("there are several servers on this machine: name one with --endpoint %s", orOf(endpoints))
	case endpoint != "":
		return nil, fmt.Errorf("%w; at %s there is none of this user", errNotServed, endpoint)
	}
	return nil, errNotServed
}

// readServed reads what a server has left, and removes what one has left that
// was killed.
func readServed(name string) *served {
	if filepath.Ext(name) != ".json" {
		return nil
	}
	f, err := os.Open(name) //nolint:gosec // in the user's own directory
	if err != nil {
		return nil
	}
	defer f.Close()
	if lockFile(f) == nil { // nobody has it any more
		_ = os.Remove(name)
		return nil
	}
	data, err := readAtMost(f, maxServed)
	if err != nil {
		return nil
	}
	var s served
	if json.Unmarshal(data, &s) != nil || s.Endpoint == "" || s.Key == "" {
		return nil
	}
	return &s
}
