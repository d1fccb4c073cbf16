package main

import (
	"cmp"
	"errors"
	"net/http"
	"strings"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// hint is what to do about an error of the server, as far as this program can
// tell.
func (a *app) hint(err error) string {
	api, isAPI := errors.AsType[*sandboxclient.APIError](err)
	switch {
	case !isAPI:
		return ""
	case errors.Is(err, sandboxclient.ErrUnauthorized):
		return "check LANGSMITH_API_KEY, which was sent to " + a.server()
	case errors.Is(err, sandboxclient.ErrQuota):
		return "sandbox usage shows what is in use"
	case errors.Is(err, sandboxclient.ErrExists) && api.ResourceType == sandboxes.one:
		return "choose another name, or delete that one first: sandbox rm " + api.Name
	case errors.Is(err, sandboxclient.ErrConnection) && api.StatusCode == 0 && api.ResourceType != "file":
		return "is there a server at " + a.server() + "? LANGSMITH_ENDPOINT and --endpoint say where it is"
	}
	return lister(api)
}

// server is where requests go, for people.
func (a *app) server() string {
	if a.where.local || a.apiKey() == "" {
		return "the server of this machine"
	}
	return cmp.Or(a.namedEndpoint(), "LangSmith")
}

// lister is where the names are of what was not found.
func lister(e *sandboxclient.APIError) string {
	if !errors.Is(e, sandboxclient.ErrNotFound) && !strings.HasSuffix(e.ErrorType, "NotFound") {
		return ""
	}
	kind := e.ResourceType
	if name, ok := strings.CutSuffix(e.ErrorType, "NotFound"); ok && e.StatusCode != http.StatusNotFound {
		kind = strings.ToLower(name) // of what the request named
	}
	for _, n := range []struct{ one, prefix string }{
		{sandboxes.one, sandboxes.prefix},
		{templates.one, templates.prefix},
		{snapshots.one, snapshots.prefix},
		{volumes.one, volumes.prefix},
		{pools.one, pools.prefix},
		{registries.one, registries.prefix},
	} {
		if n.one == kind {
			return n.prefix + " ls lists what there is"
		}
	}
	return ""
}
