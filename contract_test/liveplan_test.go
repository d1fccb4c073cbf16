package contract_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// liveSettings are what a run against a real endpoint needs besides the
// endpoint, which the client finds itself.
type liveSettings struct {
	key        string
	generation int
}

// liveSettingsOf refuses unless somebody has said that they mean it.
func liveSettingsOf(getenv func(string) string) (liveSettings, error) {
	s := liveSettings{key: getenv("LANGSMITH_API_KEY"), generation: 2}
	switch {
	case getenv("LANGSANDBOX_CONTRACT_LIVE") != "1":
		return s, errors.New("refused: this creates and deletes sandboxes, volumes and snapshots in the workspace of LANGSMITH_API_KEY, which costs money; set LANGSANDBOX_CONTRACT_LIVE=1 if that is what you want")
	case strings.TrimSpace(s.key) == "":
		return s, errors.New("refused: set LANGSMITH_API_KEY to a key of a workspace for tests")
	}
	switch g := getenv("LANGSANDBOX_CONTRACT_GENERATION"); g {
	case "", "2":
	case "1":
		s.generation = 1
	default:
		return s, fmt.Errorf("refused: LANGSANDBOX_CONTRACT_GENERATION is %q, not 1 or 2", g)
	}
	return s, nil
}

const (
	invented     = "it names what the run does not have: "
	oneMachine   = "it would change what others in the workspace see: "
	uncertain    = "it would be lost: "
	inventedMark = invented + "a page, in a cursor of the server's own making"
)

// notLive are the rows that make sense against samples or this project's own
// server only, and why.
var notLive = map[string]string{
	"createSandbox Client.Create":                                 uncertain + "the server chooses the name, so that nothing finds it if the answer does not come",
	"createSandbox Client.Create in full":                         invented + "hosts, credentials and relays of proxy rules",
	"createSandbox Client.Create in full, second generation":      invented + "a user and group, a tag value and a permission",
	"createSandbox Client.Create from a snapshot by id":           invented + "a snapshot",
	"createSandbox Client.Create from a snapshot by name":         invented + "a snapshot",
	"createSandbox Client.Create from a snapshot by name and tag": invented + "a snapshot",
	"createSandbox Client.Create with mounts":                     invented + "buckets, and keys of their providers",
	"createSandbox Client.Create with mounts and identities":      invented + "buckets, and roles of their providers",
	"createSandbox Client.Create with mounts and a token":         invented + "buckets, and tokens of their providers",
	"createSandbox Client.Create without waiting":                 invented + "a role for a proxy rule",
	"updateSandbox Client.Update in full":                         invented + "a tag value, and credentials of proxy rules",
	"updateSandbox Sandbox.Update":                                invented + "a role for a proxy rule",
	"listSandboxes Client.List in full, second generation":        inventedMark,
	"listVolumes Volumes.List from a cursor":                      inventedMark,
	"listRegistries Registries.List from a cursor":                inventedMark,
	"listSnapshots Snapshots.List in full, second generation":     inventedMark,
	"listServiceURLs Sandbox.Services from a cursor":              inventedMark,
	"listUsageCosts UsageService.Costs in full":                   inventedMark,
	"createTemplate Templates.Create in full":                     invented + "a registry, and credentials of proxy rules",
	"createTemplate Templates.Create with denied hosts":           invented + "a role for a proxy rule",
	"createRegistry Registries.Create with a password":            invented + "a user of a registry",
	"createRegistry Registries.Create with a role":                invented + "a role of a cloud account",
	"updateRegistry Registries.Update of the password":            invented + "a user of a registry",
	"updateRegistry Registries.Update of the role":                invented + "a role of a cloud account",
	"createSnapshot Snapshots.Create in full":                     invented + "a registry",
	"captureSandbox Sandbox.Capture in full":                      invented + "an image that was built in the sandbox",
	"captureSandbox Sandbox.Capture of a checkpoint":              invented + "a checkpoint",
	"createServiceURL Service.Get with a login":                   oneMachine + "members of it may log in",
	"createServiceURL Service.BrowserURL":                         invented + "a service that is shared by a login, to be taken back",
	"download Sandbox.Download in full":                           invented + "versions of the file",
}

// rowName tells a row from the others.
func rowName(row contractRow) string { return row.op + " " + row.method }

// livePlan are the rows for an endpoint of a generation, and the reasons
// against the others.
func livePlan(t *testing.T, generation int) (rows []contractRow, reasons map[string]string) {
	t.Helper()
	ops := operations(specOf(t))
	reasons = maps.Clone(rawOnly)
	for _, row := range contractRows {
		name := rowName(row)
		op := ops[row.op].Operation
		switch reason, excluded := notLive[name]; {
		case excluded:
			reasons[name] = reason
		case holds(op, float64(generation)) == "":
			reasons[name] = fmt.Sprintf("generation %d does not have the operation", generation)
		default:
			if foreign := foreignMembers(t, row, op, generation); len(foreign) > 0 {
				reasons[name] = fmt.Sprintf("generation %d does not have %s", generation, strings.Join(foreign, ", "))
				continue
			}
			rows = append(rows, row)
		}
	}
	return rows, reasons
}

// foreignMembers are what a row sends and a generation does not have.
func foreignMembers(t *testing.T, row contractRow, op *openapi3.Operation, generation int) []string {
	t.Helper()
	foreign := map[string]bool{}
	for _, p := range op.Parameters {
		if p.Value.In == openapi3.ParameterInQuery && absent(p.Value.Extensions, generation) {
			foreign["?"+p.Value.Name] = true
		}
	}
	if op.RequestBody != nil {
		if media := op.RequestBody.Value.Content.Get("application/json"); media != nil {
			absentMembers(media.Schema, "", generation, foreign)
		}
	}
	p, _, err := play(t, row, samples[row.op][0])
	if err != nil {
		t.Fatal(err)
	}
	sent := map[string]bool{}
	for _, r := range p.requests {
		for key := range r.query {
			sent["?"+key] = true
		}
		var body any
		if json.Unmarshal([]byte(r.body), &body) == nil {
			members(body, "", sent)
		}
	}
	maps.DeleteFunc(foreign, func(name string, _ bool) bool { return !sent[name] })
	return slices.Sorted(maps.Keys(foreign))
}

// absent reports whether something says of itself that a generation does not
// have it.
func absent(extensions map[string]any, generation int) bool {
	generations, told := extensions["x-generations"].([]any)
	return told && !slices.Contains(generations, any(float64(generation)))
}

func absentMembers(ref *openapi3.SchemaRef, at string, generation int, found map[string]bool) {
	schema := ref.Value
	if schema.Items != nil {
		absentMembers(schema.Items, at+"[]", generation, found)
	}
	for _, part := range schema.AllOf {
		absentMembers(part, at, generation, found)
	}
	for name, property := range schema.Properties {
		path := join(at, name)
		if absent(property.Extensions, generation) || absent(property.Value.Extensions, generation) {
			found[path] = true
		}
		absentMembers(property, path, generation, found)
	}
}

// TestLivePlan: every row is run or excluded for a reason, and every operation
// of a generation that anything can be made of is run.
func TestLivePlan(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, row := range contractRows {
		names[rowName(row)] = true
	}
	for name := range notLive {
		if !names[name] {
			t.Errorf("%s is excluded, but is no row", name)
		}
	}
	ops := operations(specOf(t))
	for generation := 1; generation <= 2; generation++ {
		rows, reasons := livePlan(t, generation)
		run := map[string]bool{}
		for _, row := range rows {
			run[row.op] = true
		}
		for id, route := range ops {
			if holds(route.Operation, float64(generation)) != "" && !run[id] && reasons[id] == "" {
				t.Errorf("generation %d: nothing drives %s", generation, id)
			}
		}
		for _, row := range contractRows {
			if name := rowName(row); reasons[name] == "" && !slices.ContainsFunc(rows, func(r contractRow) bool { return rowName(r) == name }) {
				t.Errorf("generation %d: %s is not run, for no reason", generation, name)
			}
		}
		t.Logf("generation %d: %d rows are run, %d are not", generation, len(rows), len(contractRows)-len(rows))
	}
}

func TestLiveIsRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"LANGSMITH_API_KEY": "k"}, "set LANGSANDBOX_CONTRACT_LIVE=1"},
		{map[string]string{"LANGSMITH_API_KEY": "k", "LANGSANDBOX_CONTRACT_LIVE": "0"}, "set LANGSANDBOX_CONTRACT_LIVE=1"},
		{map[string]string{"LANGSANDBOX_CONTRACT_LIVE": "1"}, "set LANGSMITH_API_KEY"},
		{map[string]string{"LANGSANDBOX_CONTRACT_LIVE": "1", "LANGSMITH_API_KEY": "k", "LANGSANDBOX_CONTRACT_GENERATION": "3"}, "not 1 or 2"},
	} {
		if _, err := liveSettingsOf(func(key string) string { return test.env[key] }); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: %v", test.env, err)
		}
	}
	got, err := liveSettingsOf(func(key string) string {
		return map[string]string{"LANGSANDBOX_CONTRACT_LIVE": "1", "LANGSMITH_API_KEY": "k", "LANGSANDBOX_CONTRACT_GENERATION": "1"}[key]
	})
	if err != nil || got != (liveSettings{"k", 1}) {
		t.Errorf("%+v %v", got, err)
	}
}
