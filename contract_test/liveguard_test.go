package contract_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// liveName is the name of something that a live run has made: when, which run,
// and what.
var liveName = regexp.MustCompile(`^lsct-[0-9a-f]{8}-[0-9a-f]{4}-[a-z]`)

// liveGuard is a transport that sends nothing that could make, change or delete
// anything but what is named as the things of live runs are.
type liveGuard struct {
	next http.RoundTripper
	chk  *checker

	mu        sync.Mutex
	things    []liveThing
	ids       map[string]bool // of snapshots with such names
	dataplane []string
}

// liveThing is something that a request has asked for, with success or not.
type liveThing struct {
	kind, name string
	id         string // of a snapshot
}

// kinds are what operations make, or give other names.
var kinds = map[string]string{
	"createVolume": "volume", "createTemplate": "template", "createPool": "pool", "createSnapshot": "snapshot", "captureSandbox": "snapshot",
	"createRegistry": "registry", "createSandbox": "sandbox",
	"updateVolume": "volume", "updateTemplate": "template", "updatePool": "pool", "updateRegistry": "registry", "updateSandbox": "sandbox",
}

// RoundTrip sends a request on if it may be sent.
func (g *liveGuard) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := g.check(req); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, fmt.Errorf("not sent, since a live run leaves alone what is not its own: %w", err)
	}
	return g.next.RoundTrip(req)
}

func (g *liveGuard) check(req *http.Request) error {
	route, params, err := match(g.chk.doc, g.chk.prefix, req.Method, req.URL.EscapedPath())
	if err != nil {
		return err
	}
	id := route.Operation.OperationID
	g.mu.Lock()
	defer g.mu.Unlock()
	if route.PathItem.Servers != nil {
		if !slices.ContainsFunc(g.dataplane, func(base string) bool { return strings.HasPrefix(req.URL.String(), base+"/") }) {
			return fmt.Errorf("%s in a sandbox of someone else", id)
		}
		return nil
	}
	if req.Method == http.MethodGet || req.Method == http.MethodHead {
		return nil
	}
	for _, value := range params {
		if !liveName.MatchString(value) && !g.ids[value] && !isPort(value) {
			return fmt.Errorf("%s of %q", id, value)
		}
	}
	return g.checkNames(id, req)
}

func isPort(value string) bool { return regexp.MustCompile(`^\d{1,5}$`).MatchString(value) }

// checkNames looks at the names in a body, and notes those of things to be
// deleted. The caller holds the lock.
func (g *liveGuard) checkNames(id string, req *http.Request) error {
	if err := keepBody(&req.Body); err != nil {
		return err
	}
	var body struct {
		Name  *string  `json:"name"`
		Names []string `json:"names"`
	}
	if req.Body != nil {
		raw, err := io.ReadAll(req.Body)
		if err != nil {
			return err
		}
		req.Body = io.NopCloser(bytes.NewReader(raw))
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &body); err != nil {
				return err
			}
		}
	}
	if body.Name != nil {
		body.Names = append(body.Names, *body.Name)
	}
	for _, name := range body.Names {
		if !liveName.MatchString(name) {
			return fmt.Errorf("%s with the name %q", id, name)
		}
	}
	kind, names := kinds[id], body.Name != nil
	switch {
	case names && kind != "":
		g.things = append(g.things, liveThing{kind: kind, name: *body.Name})
	case kind != "" && !strings.HasPrefix(id, "update"):
		return fmt.Errorf("%s without a name", id)
	}
	return nil
}

// allow lets requests to a data plane, or for a snapshot by its id, pass.
func (g *liveGuard) allow(dataplane string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dataplane = append(g.dataplane, strings.TrimSuffix(dataplane, "/"))
}

func (g *liveGuard) allowID(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ids == nil {
		g.ids = map[string]bool{}
	}
	g.ids[id] = true
}

// made is how much was asked for until now.
func (g *liveGuard) made() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.things)
}

// since are the things that were asked for since then, the last first.
func (g *liveGuard) since(made int) []liveThing {
	g.mu.Lock()
	defer g.mu.Unlock()
	things := slices.Clone(g.things[made:])
	slices.Reverse(things)
	return things
}
