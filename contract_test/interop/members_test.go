//go:build interop

package interop

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// A reason is why no case calls some members of the clients.
type reason struct {
	dirs    string // of the programs, space separated
	members string // patterns of path.Match, space separated
	why     string
}

// reasons are all members that no case calls. Whatever a client offers is
// called by a case or stands here: see uncalled.
func reasons() []reason {
	const python, javascript = "py1 py2", "js1 js2"
	return []reason{
		{"py1", "*.from_dict", "makes what other members return of an answer, which cases do by those"},
		{"py2", "*.from_dict RunConfig.to_payload", "makes what other members return or send, which cases do by those"},
		{javascript, "Sandbox.requireDataplaneUrl", "private: checks for the client itself"},
		{"js2", "SandboxClient.getApiKey SandboxClient.getDefaultHeaders", "private: tells other classes of the client"},
		{"js2", "SandboxTokenVerifier.key SandboxTokenVerifier.refresh SandboxTokenVerifier.verify", "private: what the two verifications share"},
		{"js2", "SandboxClient.?nodejs.util.inspect.custom?", "called by Node.js as a case inspects a client"},
		{"js1", "LangSmithValidationError", "out of reach: the client fails as it reads the body of a 422 twice"},
		{"js2", "LangSmithResourceInUseError LangSmithResourceAlreadyExistsError", "exported, and never thrown by the client"},
		{"py2", "ResourceInUseError ResourceAlreadyExistsError", "exported, and never raised by the client"},
		{"js2", "LangSmithSandboxServerReloadError", "caught by the client itself, which reattaches"},
		{python, "SandboxServerReloadError", "caught by the client itself, which reattaches"},
		{python, "TunnelPortNotAllowedError TunnelConnectionRefusedError TunnelUnsupportedVersionError", "exported, and never raised: the client writes to its log instead"},
		{"py2", "SandboxCallbackRequest", "what callbacks with the full request bring, which the local server refuses"},
	}
}

// members holds what a client offers to what the cases of it called.
func members(t *testing.T, p program, result outcome) {
	t.Helper()
	if len(result.members) == 0 {
		t.Errorf("%s %s did not say what it offers", p.client, p.version)
	}
	if result.absent {
		return // the cases that were not run might
	}
	calls := result.calls()
	for _, m := range result.members {
		why := uncalled(p.dir, m)
		switch {
		case calls[m] == "" && why == "":
			t.Errorf("%s %s: no case calls %s, and no reason is given", p.client, p.version, m)
		case calls[m] != "" && why != "":
			t.Errorf("%s %s: %q calls %s, which stands among those that no case calls", p.client, p.version, calls[m], m)
		}
	}
	for _, r := range reasons() {
		if !slices.Contains(strings.Fields(r.dirs), p.dir) {
			continue
		}
		for pattern := range strings.FieldsSeq(r.members) {
			if !slices.ContainsFunc(result.members, func(m string) bool { return matches(pattern, m) }) {
				t.Errorf("%s %s: nothing is called %s, for which a reason is given", p.client, p.version, pattern)
			}
		}
	}
}

// uncalled is why no case of a program calls a member, empty if none is given.
func uncalled(dir, member string) string {
	for _, r := range reasons() {
		if !slices.Contains(strings.Fields(r.dirs), dir) {
			continue
		}
		for pattern := range strings.FieldsSeq(r.members) {
			if matches(pattern, member) {
				return r.why
			}
		}
	}
	return ""
}

func matches(pattern, member string) bool {
	ok, err := path.Match(pattern, member)
	return ok && err == nil
}

// calls are the members that the cases called, and the first case of each.
func (o outcome) calls() map[string]string {
	calls := make(map[string]string)
	for _, l := range o.lines {
		if !l.OK {
			continue
		}
		for _, m := range l.Calls {
			if calls[m] == "" {
				calls[m] = l.Feature + ": " + l.Case
			}
		}
	}
	return calls
}

// renderMembers tells for each client what it offers and which case calls it.
func renderMembers(out *strings.Builder, results map[string]outcome) {
	for _, p := range programs() {
		result := results[p.dir]
		calls := result.calls()
		called := 0
		for _, m := range result.members {
			if calls[m] != "" {
				called++
			}
		}
		fmt.Fprintf(out, "\n### %s %s\n\n%d of %d members are called.\n\n| Member | Case that calls it |\n|---|---|\n",
			p.client, p.version, called, len(result.members))
		for _, m := range result.members {
			name := calls[m]
			if name == "" {
				name = "none: " + uncalled(p.dir, m)
			}
			fmt.Fprintf(out, "| `%s` | %s |\n", m, name)
		}
	}
}
